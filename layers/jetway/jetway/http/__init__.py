"""The HTTP API's parts: who calls, what may be called, what is asked for, and how it is answered."""
