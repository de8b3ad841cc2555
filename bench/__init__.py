"""Speed and memory of every operation against what its user would otherwise run.

``python -m bench.NAME`` prints one operation's table; ``make bench`` prints them all.
"""
