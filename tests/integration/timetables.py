"""What Airflow's own timetables say of crons: a program for a virtual environment of Airflow. Prints JSON.

Its input is a list of [cron of five fields, time zone, from, until]; its output a list of [planned, date and interval
of CronDataIntervalTimetable, date and interval of CronTriggerTimetable] for each.
"""

import json
import sys
from datetime import datetime

import pendulum
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable


def shown(info):
    return [moment.in_timezone("UTC").isoformat() for moment in (info.logical_date, *info.data_interval)]


def runs(timetable, since, until):
    """Yield when each run is planned, with its date and its interval, as the scheduler asks for them."""
    last = DataInterval.exact(since)
    restriction = TimeRestriction(earliest=since, latest=None, catchup=True)
    while True:
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info.run_after >= until:
            return
        yield info.run_after.in_timezone("UTC").isoformat(), shown(info)
        last = info.data_interval


def main():
    found = []
    for cron, zone, first, last in json.load(sys.stdin):
        since, until = (pendulum.instance(datetime.fromisoformat(text)) for text in (first, last))
        by_interval = dict(runs(CronDataIntervalTimetable(cron, zone), since, until))
        by_trigger = dict(runs(CronTriggerTimetable(cron, timezone=zone), since, until))
        found.append([[at, by_interval[at], by_trigger.get(at)] for at in sorted(by_interval)])
    json.dump(found, sys.stdout)


main()
