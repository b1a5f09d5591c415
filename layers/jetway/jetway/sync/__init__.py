"""Trigger files into AWS: `files` reads them, `accepted` remembers the last good ones, `rules`, `schedules` and
`alarms` each make one kind of resource as it should be, and `run` puts all of it together.
"""
