"""Documents that people write: YAML with its lines, JSON Schemas, and their text in what Jetway sends out."""
