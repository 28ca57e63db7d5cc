"""`relay doctor`: what is right, what will not be for long, and what is wrong, each with the next step.

running.py ─► the daemon looks at itself        stopped.py ─► the command looks at a home that nobody runs
both look at files.py; the words are in relay/console/advice.py
"""
