# SPDX-License-Identifier: GPL-2.0-only
#
# Walk time against the size of the mapped memory:
#
#	out/bench/core_walk --plot out/walk.dat
#	gnuplot -e "data='out/walk.dat'; picture='out/walk.svg'" bench/core/walk.gp

set terminal svg size 800,480 background rgb 'white'
set output picture
set title 'EPT walks at random GPAs, pages of 4 KiB'
set xlabel 'memory mapped, GiB (tables: 2 MiB for each GiB)'
set ylabel 'ns a walk'
set logscale x 2
set xrange [1:64]
set yrange [0:*]
set grid ytics
set key left top
plot data using 1:3 with linespoints title 'single, dependent', \
     data using 1:2 with linespoints title 'single', \
     data using 1:4 with linespoints title 'fast\_page\_walk()', \
     data using 1:5 with linespoints title 'walk\_batch()'
