"""What dashboards are put together from: panels of one look, laid out row by row."""

import json

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

register_default_plugins()

SOURCE = d.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED = "green", "#EAB839", "red"


def query(expr, legend="", instant=False, form=None):
    made = prometheus.Dataquery().expr(expr).legend_format(legend).datasource(SOURCE)
    made = made.instant() if instant else made.range()
    return made.format(form) if form else made


def thresholds(*steps):
    """Steps of (from, colour); the first has no lower end."""
    values = [d.Threshold(value=None if i == 0 else float(at), color=colour) for i, (at, colour) in enumerate(steps)]
    return dashboard.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(values)


def common_parts(panel, title, what, queries, unit, limits, width, height, instant=False):
    panel.title(title).description(what).datasource(SOURCE).span(width).height(height).unit(unit)
    for at, (expr, legend) in enumerate(queries):
        panel.with_target(query(expr, legend, instant).ref_id(chr(ord("A") + at)))
    if limits:
        panel.thresholds(thresholds(*limits))
    return panel


def number(title, what, expr, unit="short", limits=None, legend="", width=4, text=None, decimals=None):
    """One number, of now."""
    panel = common_parts(stat.Panel(), title, what, [(expr, legend)], unit, limits, width, 4, instant=True)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_mode(c.BigValueColorMode.VALUE).graph_mode(c.BigValueGraphMode.NONE)
    if text == "name":
        panel.text_mode(c.BigValueTextMode.NAME)
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def lines(title, what, *queries, unit="short", limits=None, width=12, stacked=False, least=0, most=None, alert=None):
    """Queries of (expr, legend) over time. `alert` names the alert that looks at the same."""
    if alert:
        what += f" Alert: {alert}."
    panel = common_parts(timeseries.Panel(), title, what, queries, unit, limits, width, 8)
    panel.line_width(1).fill_opacity(30 if stacked else 8).show_points(c.VisibilityMode.NEVER)
    panel.legend(
        common.VizLegendOptions().display_mode(c.LegendDisplayMode.LIST).placement(c.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel.tooltip(common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING))
    if stacked:
        panel.stacking(common.StackingConfig().mode(c.StackingMode.NORMAL).group("A"))
    if limits:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(c.GraphTresholdsStyleMode.DASHED))
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.max(most)
    return panel


def bars(title, what, expr, legend, unit="short", limits=None, width=12, most=None):
    panel = common_parts(bargauge.Panel(), title, what, [(expr, legend)], unit, limits, width, 8, instant=True)
    panel.orientation(c.VizOrientation.HORIZONTAL).reduce_options(
        common.ReduceDataOptions().calcs(["lastNotNull"])
    )
    panel.min(0)
    if most is not None:
        panel.max(most)
    return panel


def rows(title, what, queries, unit="short", width=24, by="stage"):
    """A table: a row for each value of `by`, a column for each query of (expr, name)."""
    panel = table.Panel().title(title).description(what).datasource(SOURCE).span(width).height(8).unit(unit)
    panel.show_header(True)
    for at, (expr, _) in enumerate(queries):
        made = query(expr, instant=True, form=PromQueryFormat.TABLE).ref_id(chr(ord("A") + at))
        panel.with_target(made)
    names = {f"Value #{chr(ord('A') + at)}": name for at, (_, name) in enumerate(queries)}
    panel.with_transformation(d.DataTransformerConfig(id_val="joinByField", options={"byField": by, "mode": "outer"}))
    hidden = {f"Time {at}": True for at in range(1, len(queries) + 1)} | {"Time": True}
    panel.with_transformation(
        d.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden, "renameByName": names})
    )
    return panel


def variable(name, label, values, many=False):
    """Of what Prometheus knows: label_values(METRIC, LABEL)."""
    made = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(values)
    made = made.refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(d.VariableSort.ALPHABETICAL_ASC)
    if many:
        made = made.multi(True).include_all(True).all_value(".*")
        made = made.current(d.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return made


def board(uid, title, what, variables, sections):
    """Sections of (title, panels)."""
    made = (
        dashboard.Dashboard(title).uid(f"swath-{uid}").description(what).tags(["swath"]).refresh("10s")
        .time("now-1h", "now").timezone("browser").tooltip(d.DashboardCursorSync.CROSSHAIR).editable()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(
            dashboard.DashboardLink("Swath").type(d.DashboardLinkType.DASHBOARDS).tags(["swath"])
            .as_dropdown(True).include_vars(True).keep_time(True)
        )
    )
    for one in variables:
        made.with_variable(one)
    number_of = 0
    for name, panels in sections:
        number_of += 1
        made.with_row(dashboard.Row(name).id(number_of))
        for panel in panels:
            number_of += 1
            made.with_panel(panel.id(number_of))
    return made.build()


def text(made):
    document = json.loads(json.dumps(made, cls=JSONEncoder))
    # Of Grafana 10, and gone since.
    document.pop("style", None)
    for one in document["templating"]["list"]:
        # What the SDK says of every variable, and Grafana's schema only of those of another kind.
        for name in ["id", "auto", "auto_count", "auto_min"]:
            one.pop(name, None)
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def read_back(written):
    """As Grafana's schema has it: what it does not know is lost, what is wrong is an error."""
    return text(d.Dashboard.from_json(json.loads(written)))
