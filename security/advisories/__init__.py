"""Advisories about packages, in the OSV format: read, kept, matched against versions, served to an audit engine.

`record` reads one advisory, `ranges` says whether a version is affected, `severity` how bad it is, `mirror` keeps many
in one file with their age, `update` brings that file up to date, `server` answers on the loopback as OSV does.
"""
