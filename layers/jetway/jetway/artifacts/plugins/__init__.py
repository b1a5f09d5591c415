"""plugins.zip: what is in it, which plugins and modules it brings, and whether MWAA can use it."""
