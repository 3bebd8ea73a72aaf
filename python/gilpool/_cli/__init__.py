"""The command line: `gilpool`, also `python -m gilpool`.

General layout:

    main.py          the parser and the list of subcommands; turns errors into exit codes
    exits.py         the exit codes and the exception that carries one
    experiment.py    subcommand `experiment`: its options, and the order of its steps
    rows.py          what the experiment measures and what must come out
    child.py         the measuring process: runs the rows, reports stamps over a pipe
    measure.py       the parent's side: starts the child, reads the pipe, ends the child
    model.py         from the lines on the pipe to phases per thread and a result per row
    table.py         the results as text: columns and sentences
    plain.py         the display without rich or without a terminal
    live.py          the live display (needs rich)
    plot.py          the picture (needs matplotlib)
    drawing.py       what this and the picture of a trace have in common
    report.py        the `--json` object
    check.py         subcommand `check`: its options, what is measured, how the outcome is judged
    check_target.py  from words on the command line to a call that can be measured
    check_suite.py   the built-in table of calls
    check_result.py  one call's outcome, and the `--json` object of all
    check_table.py   the outcomes as text, with the progress on the way
    hash_files.py    subcommand `hash`: its options, and the order of its steps
    batch_bar.py     a progress bar for a kernel's batch (needs rich)
    terminal.py      what may be done on the stream that is written to
    trace.py         subcommand `trace`: its options, and the order of its steps
    trace_script.py  runs somebody's script as python would
    trace_read.py    a trace file as tasks, lanes and counters
    trace_summary.py what it says, as text or `--json`
    trace_plot.py    its picture (needs matplotlib)

`import gilpool` imports nothing of this; rich and matplotlib are imported only when they are used.
"""
