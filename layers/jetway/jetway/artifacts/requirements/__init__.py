"""requirements.txt: read as pip reads it, held against what MWAA pins, resolved by uv, and which modules it brings."""
