"""Looking at episodes: contact sheets and films, statistics of a data set, export to Rerun.

    python -m piper_bringup.look.sheet DATA...        one PNG, or MP4, an episode
    python -m piper_bringup.look.statistics DATA...   tables, plots, and which episodes look wrong
    python -m piper_bringup.look.rerun DATA...        one .rrd an episode

Node `viz` (viz:=true, --viz) shows a run in Rerun as it goes on.

DATA are files or folders, in any layout that data/layouts reads.
"""
