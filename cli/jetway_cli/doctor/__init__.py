"""`jetway doctor`: whether a deployed stack and all around it is as it must be.

actions.json   what each function's role must be allowed; made of the template by `make role-actions`
settings.py    which settings of the stack's resources are compared with the deployed template
wanted.py      what that template says of each resource
denials.py     whether a bucket's policy denies what the roles need
facts.py       what was seen, as frozen dataclasses; each fact may be one that nobody could see
asking.py      AWS asked within bounds: a denial and a failure are facts too
collect/       the questions, by theme, side by side; they only read
checks/        pure functions: facts in, a result out
probe.py       the one thing that changes something, and only when asked for: an event of its own
command.py     the command
"""
