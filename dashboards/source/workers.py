"""Workers: where their time goes, what holds them up, what is left of their machines."""

from panels import GREEN, RED, YELLOW, board, bars, lines, number, variable

W = 'worker=~"$worker"'
DEVICE = 'phase="device"'


def phases(*more):
    """Seconds a second of the phases, in lines over time: by the window that Grafana gives, a minute at the least."""
    return f"rate(swath_worker_phase_seconds_sum{{{','.join([W, *more])}}}[$__rate_interval])"


def quantile(q, metric, by, labels=W):
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


BOARD = board(
    "workers",
    "Swath: workers",
    "Where the time of workers goes, what holds them up, and what is left of their machines.",
    [variable("worker", "Worker", "label_values(swath_worker_in_hand, worker)", many=True)],
    [
        (
            "Now",
            [
                number("Busy", "Workers with an item in hand.", 'sum(swath:workers{state="busy"})', decimals=0),
                number("Idle", "Workers without. Alert: SwathWorkWaits.", 'sum(swath:workers{state="idle"})',
                       decimals=0),
                number("Leaving", "Workers that take nothing new.", 'sum(swath:workers{state="leaving"})',
                       decimals=0),
                number("Bottleneck", "The phase that most time went into, in the last two minutes.",
                       "topk(1, sum by (phase) (swath:worker:phase_ratio))", "percentunit", legend="{{phase}}",
                       text="name"),
                number("Devices at work", "The share of the time in which the network was computed, of all workers.",
                       "avg(swath:worker:device_busy_ratio)", "percentunit",
                       [(0, RED), (0.4, YELLOW), (0.7, GREEN)]),
                number("Slots in use", "Items in hand, of those that there is room for.",
                       f"sum(swath_worker_in_hand{{{W}}}) / clamp_min(sum(swath_worker_slots{{{W}}}), 1)",
                       "percentunit"),
            ],
        ),
        (
            "Where the time goes",
            [
                lines("Phases", "Seconds a second, of all workers that are chosen: what is highest holds the rest up.",
                      (f"sum by (phase) ({phases()})", "{{phase}}"), stacked=True, unit="s"),
                bars("The same now", "Averaged over two minutes.",
                     f"sort_desc(sum by (phase) (swath:worker:phase_ratio{{{W}}}))", "{{phase}}", unit="s"),
                lines("Devices at work", "By worker.",
                      (f"clamp_max(sum by (worker) ({phases(DEVICE)}), 1)", "{{worker}}"),
                      unit="percentunit", most=1, limits=[(0, RED), (0.4, YELLOW), (0.7, GREEN)]),
                lines("Batches are filled", "Windows in a batch, of those that it has room for: the mean.",
                      (f"sum(rate(swath_worker_batch_fill_ratio_sum{{{W}}}[$__rate_interval])) / "
                       f"sum(rate(swath_worker_batch_fill_ratio_count{{{W}}}[$__rate_interval]))", "mean"),
                      unit="percentunit", most=1),
                lines("Windows", "That networks were shown.",
                      (f"sum(rate(swath_worker_windows_total{{{W}}}[$__rate_interval]))", "windows"), unit="ops"),
                lines("Chips", "That were kept.",
                      (f"sum(rate(swath_worker_chips_total{{{W}}}[$__rate_interval]))", "chips"), unit="ops"),
                lines("An item takes", "95 of 100 are quicker, by stage.",
                      (quantile(0.95, "swath_worker_item_seconds", "stage"), "{{stage}}"), unit="s"),
                lines("A phase takes", "95 of 100 are quicker.",
                      (quantile(0.95, "swath_worker_phase_seconds", "phase"), "{{phase}}"), unit="s"),
            ],
        ),
        (
            "Items and leases",
            [
                lines("How items end", "By outcome.",
                      (f"sum by (outcome) (rate(swath_worker_items_total{{{W}}}[$__rate_interval]))", "{{outcome}}"),
                      unit="ops"),
                lines("Received again", "Messages that the broker had handed out before, of all.",
                      (f'sum(rate(swath_worker_deliveries_total{{{W},redelivered="true"}}[$__rate_interval])) / '
                       f"sum(rate(swath_worker_deliveries_total{{{W}}}[$__rate_interval]))", "share"),
                      unit="percentunit"),
                lines("Leases", "That were extended, lost, or could not be extended.",
                      (f"sum by (outcome) (rate(swath_worker_lease_extensions_total{{{W}}}[$__rate_interval]))",
                       "{{outcome}}"), unit="ops", alert="SwathLeasesLost"),
                lines("Machines to be taken away", "Notices that workers have had, in an hour.",
                      (f"sum(increase(swath_worker_preemption_notices_total{{{W}}}[1h]))", "notices")),
            ],
        ),
        (
            "Machines",
            [
                lines("Processors", "Seconds of CPU a second, by worker.",
                      (f'rate(process_cpu_seconds_total{{job="swath-workers",{W}}}[$__rate_interval])', "{{worker}}"),
                      unit="short"),
                lines("Memory", "Of the process.",
                      (f'process_resident_memory_bytes{{job="swath-workers",{W}}}', "{{worker}}"), unit="bytes"),
                lines("Memory that is left", "Of what the worker may have.",
                      (f"swath:worker:memory_available_ratio{{{W}}}", "{{worker}}"), unit="percentunit", most=1,
                      limits=[(0, RED), (0.05, YELLOW), (0.15, GREEN)], alert="SwathMemoryNearFull"),
                lines("Disk that is left", "Of the one that models and chips are kept on.",
                      (f"swath:worker:disk_free_ratio{{{W}}}", "{{worker}}"), unit="percentunit", most=1,
                      limits=[(0, RED), (0.05, YELLOW), (0.15, GREEN)], alert="SwathDiskNearFull"),
                lines("Open files", "Of the process.",
                      (f'process_open_fds{{job="swath-workers",{W}}}', "{{worker}}")),
                lines("Memory of cards", "In use, where a card computes.",
                      (f'swath_worker_device_memory_bytes{{{W},part="total"}} - ignoring (part) '
                       f'swath_worker_device_memory_bytes{{{W},part="free"}}', "{{worker}}"), unit="bytes"),
            ],
        ),
    ],
)
