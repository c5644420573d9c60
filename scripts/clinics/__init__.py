"""What closes the gap to a clinic that a network never saw: short runs with one clinic left out, and their table.

    python -m scripts.clinics --out RUNS \\
        --data DIR/melanoma10k --data DIR/ham10000 --data DIR/padufes20 --data DIR/isic2018

Every run draws the same number of pictures once, from the `lite2` warm start, at 128 pixels. `--names plain looks`
makes these only, `--leave-out ham10000` leaves another clinic out, `--seed` and `--pictures` repeat a run in another
way or at another length. A run whose result is in RUNS is not made again; the table is of all that are there.
"""
