"""How each function is put together: the only package that reads environment variables and makes AWS clients.

    variables       environment variables, read once into typed facts
    clients         AWS's clients, and how long each service is waited for
    airflow parts   what several functions have in common

and a module for each function, with its `Config`, its `Parts`, and `wired`, which makes them once and keeps them while
the function is warm. Rooms take their parts from here and make none; nothing but functions/ imports this package.
"""
