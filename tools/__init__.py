"""What this repository is built, tested and measured with. The product imports none of it."""
