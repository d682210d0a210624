"""The demo: the whole loop in one command, from a generator to a page of boards.

`running.run_demo` puts the steps together: `faces` (generator, set, recogniser), `masked` (the
masked autoencoder) and `page`. `journal` remembers the finished ones, `verdicts` says what a right
result looks like, `people` finds pictures of real faces.
"""
