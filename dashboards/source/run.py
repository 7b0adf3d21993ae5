"""A run: how far it is, how fast, what fails, what it costs."""

from panels import GREEN, RED, YELLOW, board, lines, number, rows, variable

R = 'run="$run"'

BOARD = board(
    "run",
    "Swath: run",
    "How far a run is, how fast it goes, what fails, what it costs.",
    [variable("run", "Run", "label_values(swath_run_state, run)")],
    [
        (
            "Progress",
            [
                number("State", "Of the run.", f"max by (state) (swath_run_state{{{R}}}) == 1", legend="{{state}}",
                       text="name"),
                number(
                    "Predicted", "Pixels that are predicted, of those that are planned.",
                    f"max(swath_run_pixels_done{{{R}}}) / clamp_min(max(swath_run_pixels{{{R}}}), 1)", "percentunit",
                ),
                number("Left", "To the end of the stage at work.", f"max(swath_run_eta_seconds{{{R}}})", "s"),
                number(
                    "Stands still", "Since an item was finished last, or a step of a training. Alert: SwathRunStalled.",
                    f"swath:run:stalled_seconds{{{R}}}", "s", [(0, GREEN), (300, YELLOW), (900, RED)],
                ),
                number(
                    "Failed items", "Set aside; `swath items RUN` lists them. Alert: SwathItemsBuried.",
                    f"swath:run:failed_items{{{R}}}", limits=[(0, GREEN), (1, RED)], decimals=0,
                ),
                number(
                    "Unreadable scenes", "Their headers could not be read.",
                    f"max(swath_run_unreadable_scenes{{{R}}})", limits=[(0, GREEN), (1, RED)], decimals=0,
                ),
                rows(
                    "Stages", "Items by stage.",
                    [
                        (f'max by (stage) (swath_items{{{R},state="{state}"}})', state)
                        for state in ["waiting", "queued", "held", "done", "buried"]
                    ],
                ),
            ],
        ),
        (
            "Speed",
            [
                lines("Items", "That were finished, by stage.",
                      (f"sum by (stage) (rate(swath_item_outcomes_total{{{R},outcome=\"done\"}}[$__rate_interval]))",
                       "{{stage}}"), unit="ops"),
                lines("Pixels", "Of scenes that finished items have covered, by stage.",
                      (f"sum by (stage) (rate(swath_pixels_total{{{R}}}[$__rate_interval]))", "{{stage}}"),
                      unit="short"),
                lines("In the hands of workers", "Items by stage.",
                      (f'max by (stage) (swath_items{{{R},state="held"}})', "{{stage}}"), stacked=True),
                lines("Output", "Bytes that finished items have put, by stage.",
                      (f"sum by (stage) (rate(swath_output_bytes_total{{{R}}}[$__rate_interval]))", "{{stage}}"),
                      unit="Bps"),
            ],
        ),
        (
            "Failures",
            [
                lines("How attempts end", "But for those that end well.",
                      (f"sum by (outcome) (increase(swath_item_outcomes_total{{{R},outcome!=\"done\"}}[5m]))",
                       "{{outcome}}"), alert="SwathLeasesLost"),
                lines("Failures by class", "In the last 15 minutes: one that grows alone is one error that spreads.",
                      (f"swath:run:failures15m{{{R}}}", "{{class}}"), limits=[(0, GREEN), (5, RED)],
                      alert="SwathErrorSpreads"),
            ],
        ),
        (
            "Cost",
            [
                lines("Workers' time", "Seconds a second, from claim to finish, of items when they are finished.",
                      (f"sum by (stage) (rate(swath_item_seconds_total{{{R}}}[$__rate_interval]))", "{{stage}}"), unit="s",
                      stacked=True),
                lines("An item takes", "On average, in the last five minutes, by stage.",
                      (f"swath:run:item_seconds{{{R}}}", "{{stage}}"), unit="s"),
                lines("Share of the workers' time", "Of all runs, in an hour.",
                      (f"swath:run:time_ratio{{{R}}}", "share"), unit="percentunit", most=1),
                lines("Rented machines", "Their time that was this run's so far, by market.",
                      (f"max by (market) (swath_run_rented_seconds{{{R}}})", "{{market}}"), unit="s", stacked=True),
                lines("Money", "What that has cost, in the currency of the coordinator's prices.",
                      (f"max(swath_run_spent_money{{{R}}})", "money"), unit="short"),
            ],
        ),
    ],
)
