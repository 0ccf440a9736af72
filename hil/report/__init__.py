"""What a run leaves: evidence as it happens, and what is made of it.

``events`` says what there is to tell, ``recorder`` writes it, ``runs`` reads it. All else (the live
line, the checklist, history, SARIF) reads runs and nothing else, so that a killed run tells as much
as one that has ended.
"""
