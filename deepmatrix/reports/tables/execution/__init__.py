"""Tables of how calls are executed: compiled or not, with more threads, over more data.

In come results; out go tables of what compiling takes and saves, of scaling, and of where dispatch
ends and arithmetic begins.
"""
