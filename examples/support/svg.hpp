/// \file
/// Static charts as SVG documents: `line_chart`, `bar_chart`, `histogram`. The same data give the same bytes.
#pragma once

#include "support/svg/bar_chart.hpp"
#include "support/svg/histogram.hpp"
#include "support/svg/line_chart.hpp"
