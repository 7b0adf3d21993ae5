"""The fleet: how many there should be, how many there are, and what they cost."""

from panels import GREEN, RED, YELLOW, board, lines, number, variable

K = 'kind=~"$kind"'

BOARD = board(
    "fleet",
    "Swath: fleet",
    "How many workers there should be and are, whether they are used, and what they cost.",
    [variable("kind", "Kind", "label_values(swath_fleet_target_workers, kind)", many=True)],
    [
        (
            "Now",
            [
                number("Workers", "That say they are there.", "sum(swath:workers)", decimals=0),
                number("Should be", "By the fleet.", f"sum(max by (kind) (swath_fleet_target_workers{{{K}}}))", decimals=0),
                number("In use", "Slots of workers that have an item.",
                       "sum(swath:workers_in_hand) / clamp_min(sum(swath:workers_slots), 1)", "percentunit",
                       [(0, RED), (0.4, YELLOW), (0.7, GREEN)]),
                number("A start takes", "From the order to the first word.",
                       f"max(swath_fleet_launch_seconds{{{K}}})", "s"),
                number("Spent", "In the currency of the prices that the fleet was told.",
                       "max(swath_fleet_spent_money)", decimals=2),
                number("Of the budget", "Of money or time, whichever is nearer. Alert: SwathBudgetNearlySpent.",
                       "max(swath:fleet:budget_used_ratio)", "percentunit",
                       [(0, GREEN), (0.75, YELLOW), (0.9, RED)]),
            ],
        ),
        (
            "Workers",
            [
                lines("Should be and are", "By kind, and in all.",
                      (f"max by (kind) (swath_fleet_target_workers{{{K}}})", "{{kind}}: should be"),
                      (f"max by (kind) (swath_fleet_launching_workers{{{K}}})", "{{kind}}: launching"),
                      (f"max by (kind) (swath_fleet_max_workers{{{K}}})", "{{kind}}: at most"),
                      ("sum(swath:workers)", "are there")),
                lines("What they do", "By what they say of themselves.",
                      ("sum by (state) (swath:workers)", "{{state}}"), stacked=True),
                lines("Whose machines", "Spot, on demand, or none of the fleet's.",
                      ("sum by (market) (swath:workers)", "{{market}}"), stacked=True),
                lines("Backlog", "Seconds of one slot, by lane.",
                      ("sum by (lane) (swath_backlog_seconds)", "{{lane}}"), unit="s", stacked=True),
                lines("Starts", "In five minutes, by kind and outcome.",
                      (f"sum by (kind, outcome) (increase(swath_fleet_starts_total{{{K}}}[5m]))",
                       "{{kind}} {{outcome}}")),
                lines("Preemptions", "Workers whose machines were taken away, in an hour.",
                      (f"sum by (kind) (increase(swath_fleet_preemptions_total{{{K}}}[1h]))", "{{kind}}")),
            ],
        ),
        (
            "Cost",
            [
                lines("Money an hour", "At the pace of the last ten minutes.",
                      ("max(deriv(swath_fleet_spent_money[10m])) * 3600", "money")),
                lines("Time of workers", "Of all that the fleet has started.",
                      ("max(swath_fleet_spent_worker_seconds)", "time"), unit="s"),
                lines("Of the budget", "Money and time.",
                      ("swath:fleet:budget_used_ratio", "{{of}}"), unit="percentunit", most=1,
                      limits=[(0, GREEN), (0.75, YELLOW), (0.9, RED)], alert="SwathBudgetNearlySpent"),
            ],
        ),
    ],
)
