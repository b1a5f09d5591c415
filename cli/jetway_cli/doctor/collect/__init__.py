"""The questions, by theme: each function reads from AWS and returns facts."""
