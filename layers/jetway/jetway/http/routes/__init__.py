"""Routes of the HTTP API, a module for each kind of resource; functions/http_api puts them together."""
