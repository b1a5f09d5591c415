"""`make conformance`: asks AWS what its documentation does not say, and writes the answers down.

ground.py      resources of our own, each taken away again, whatever happens
questions.py   the questions; docs/conformance.md says of each which code relies on the answer
__main__.py    the command
"""
