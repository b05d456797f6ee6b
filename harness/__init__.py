"""What runs inside every cell: ``python -m harness DIR``.

DIR is the control directory. ``input.json`` and data come in; ``output.json``, arrays and artifacts
go out; `harness/PROTOCOL.md` has the form. The harness uses the standard library, numpy and one
framework, on Python 3.6 and later. It never imports ``deepmatrix``. Of the harness the
host imports `record` and `formats`, and nothing else.

How a job runs:

- `__main__` reads the job with `control`, or several in turn with `sessions`. `process` starts the
  adapter, checks device, threads and arithmetic once, and runs the phases of each job. `failures`
  turns an exception into data.
- `adapters` says which functions the adapter of a framework or a runtime has.
- `frameworks` has all that is known of each framework, `runtimes` of each runtime.
- `phases` has what is done with a workload, an artifact, a model or a suite; `jobs` what these
  have in common.
- `measuring` has clocks, the self-test and facts about the machine.
- `quantisers` quantise what frameworks export, a module a tool.
- `graphs` reads, evaluates and cuts model files; `suites` has tests of standards.
- `idioms` and `probes` are what the folders of frameworks share for these two phases.
- `record` has the names and the version of all that goes in and out.
"""
