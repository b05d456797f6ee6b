"""Ratings of the study's systems, then and now, by one rule from inputs that runs measured.

In come the results of runs and the packages of an index; out go stars with their inputs. *systems*
says what stands for each system, *inputs* what is rated; *measures*, *platforms* and *packages*
find it, *ratings* has the rule.
"""
