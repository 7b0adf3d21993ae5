"""Queue, ledger, blobs and coordinator: what calls take, what fails, what waits."""

from panels import GREEN, RED, YELLOW, board, lines, number, variable

D = 'door=~"$door"'

BOARD = board(
    "queues",
    "Swath: queue, ledger, store",
    "What calls of queue, ledger and store take and how they fail, what waits, and how the coordinator keeps up.",
    [variable("door", "Door", "label_values(swath_call_seconds_count, door)", many=True)],
    [
        (
            "What waits",
            [
                number("Backlog", "Seconds of one slot, of all runs.", "sum(swath_backlog_seconds)", "s"),
                number("Published", "Items in the queue, of all runs.", 'sum(swath_items{state="queued"})',
                       decimals=0),
                number("Held", "Items in the hands of workers.", 'sum(swath_items{state="held"})', decimals=0),
                number("Set aside", "Items that wait for a replay.", "sum(swath:run:failed_items)",
                       limits=[(0, GREEN), (1, RED)], decimals=0),
                number("Published again", "In an hour: what the queue has lost.",
                       "sum(increase(swath_items_republished_total[1h]))", limits=[(0, GREEN), (20, YELLOW)],
                       decimals=0),
                number("Leases that ran out", "In an hour.",
                       'sum(increase(swath_item_outcomes_total{outcome="lost"}[1h]))',
                       limits=[(0, GREEN), (3, RED)], decimals=0),
                lines("Backlog", "By lane, in seconds of one slot.",
                      ("sum by (lane) (swath_backlog_seconds)", "{{lane}}"), unit="s", stacked=True),
                lines("Items that could be worked on", "By lane.",
                      ("swath:lane:backlog_items", "{{lane}}"), stacked=True, alert="SwathWorkWaits"),
                lines("Messages in the queue", "As the broker says, when it is asked: an estimate.",
                      ("max by (lane) (swath_queue_waiting_messages)", "{{lane}}")),
                lines("Published and not held", "By the ledger, by lane.",
                      ("swath:lane:queued_items", "{{lane}}"), stacked=True),
            ],
        ),
        (
            "Calls",
            [
                lines("Calls", "By door.",
                      (f"sum by (door) (rate(swath_call_seconds_count{{{D}}}[$__rate_interval]))", "{{door}}"),
                      unit="ops"),
                lines("A call takes", "95 of 100 are quicker.",
                      (f"histogram_quantile(0.95, sum by (le, door, call) "
                       f"(rate(swath_call_seconds_bucket{{{D}}}[$__rate_interval])))", "{{door}} {{call}}"), unit="s"),
                lines("Calls that fail", "By door and error; a lookup of what is not there is among them.",
                      (f"sum by (door, error) (rate(swath_call_errors_total{{{D}}}[$__rate_interval]))",
                       "{{door}} {{error}}"), unit="ops"),
                lines("Bytes", "Of objects under the root that were read and written.",
                      ("sum by (direction) (rate(swath_blob_bytes_total[$__rate_interval]))", "{{direction}}"),
                      unit="Bps"),
            ],
        ),
        (
            "Coordinator",
            [
                lines("A turn takes", "Hear, sweep, feed, judge, tell: 95 of 100 are quicker.",
                      ("histogram_quantile(0.95, sum by (le) "
                       "(rate(swath_coordinator_step_seconds_bucket[$__rate_interval])))", "turn"), unit="s",
                      limits=[(0, GREEN), (1, YELLOW), (5, RED)]),
                lines("Servers away", "Turns that were given up for that, in five minutes.",
                      ("sum(increase(swath_coordinator_interruptions_total[5m]))", "turns")),
                lines("Processor", "Seconds of CPU a second.",
                      ('rate(process_cpu_seconds_total{job="swath-coordinator"}[$__rate_interval])', "{{instance}}")),
                lines("Memory", "Of the process.",
                      ('process_resident_memory_bytes{job="swath-coordinator"}', "{{instance}}"), unit="bytes"),
            ],
        ),
    ],
)
