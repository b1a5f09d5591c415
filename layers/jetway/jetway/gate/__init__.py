"""The gate: a dropped file is judged, then promoted or quarantined, and reported.

s3_notification   the message that a file was dropped or deleted
gate              the decision, and its steps in order
crash_guard       a file that has ended the gate time and again is refused unread
recorder          records and announces what the gate has done
sweep             files whose event never came
"""
