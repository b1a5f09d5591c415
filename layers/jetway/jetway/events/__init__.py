"""Events on both sides of Jetway.

incoming      what AWS sends: S3, EventBridge, schedules
principals    who caused it
outgoing      what Jetway sends to its own bus
denials       a missing permission, announced where people look
"""
