"""How fast everything is on this processor, against baselines that are real code: see docs/PERFORMANCE.md.

python -m scripts.bench                     # the whole table, under 15 minutes; `make bench` does the same
python -m scripts.bench pictures serving    # parts of it, each under 5 minutes
python -m scripts.bench profile growth roofline engines    # what the table says nothing of
"""
