"""Boards of other hosts: places of a labgrid coordinator, acquired and released by a run.

address.py      what a place is called here: ``labgrid://HOST:PORT/PLACE``
session.py      one connection to a coordinator: its places and resources, as they change
acquisition.py  a place as one more lock, and where its serial port is served
inventory.py    the places with certain tags as targets

labgrid comes with ``pip install 'hil[labgrid]'`` and is imported when a target asks for it: that
takes 0.3 s.
"""
