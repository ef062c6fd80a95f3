"""Charts as plain figures, built from results. Nothing in this package knows Streamlit.

Each has its words (`…_said`) and its table, for those who do not see it or would rather read. Text
and grid colours are left to the page's theme; what is drawn is readable on both.
"""

from ui.charts.costs import OTHER as OTHER
from ui.charts.costs import PEOPLE as PEOPLE
from ui.charts.costs import costs as costs
from ui.charts.costs import costs_said as costs_said
from ui.charts.costs import scores as scores
from ui.charts.costs import scores_said as scores_said
from ui.charts.doubt import stability as stability
from ui.charts.doubt import stability_said as stability_said
from ui.charts.doubt import stability_table as stability_table
from ui.charts.growth import growth as growth
from ui.charts.growth import growth_said as growth_said
from ui.charts.growth import growth_table as growth_table
from ui.charts.load import load as load
from ui.charts.load import load_said as load_said
from ui.charts.load import load_table as load_table
from ui.charts.load_test import load_test as load_test
from ui.charts.load_test import load_test_said as load_test_said
from ui.charts.load_test import load_test_table as load_test_table
from ui.charts.look import PALETTE_DARK as PALETTE_DARK
from ui.charts.look import PALETTE_LIGHT as PALETTE_LIGHT
from ui.charts.volume import break_even_table as break_even_table
from ui.charts.volume import volume as volume
from ui.charts.volume import volume_said as volume_said
from ui.charts.volume import volume_table as volume_table
from ui.charts.week import measured as measured
from ui.charts.week import measured_said as measured_said
from ui.charts.week import week as week
from ui.charts.week import week_said as week_said
