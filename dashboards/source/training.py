"""A training: whether it learns, how fast, and what it waits for."""

from panels import GREEN, RED, YELLOW, board, lines, number, variable

R = 'run="$run"'

BOARD = board(
    "training",
    "Swath: training",
    "Whether a training learns, how fast, and what it waits for.",
    [variable("run", "Run", "label_values(swath_training_epoch, run)")],
    [
        (
            "Now",
            [
                number("Epoch", "At work, from 1.", f"max(swath_training_epoch{{{R}}})", decimals=0),
                number("Of epochs", "That were asked for.", f"max(swath_training_epochs{{{R}}})", decimals=0),
                number("Of this epoch", "Steps that are done.",
                       f"max(swath_training_step{{{R}}}) / clamp_min(max(swath_training_steps{{{R}}}), 1)",
                       "percentunit"),
                number("Loss", "Of the epoch so far.", f"max(swath_training_loss{{{R}}})", decimals=4),
                number("Mean IoU", "On the validation chips, after the epoch before this one.",
                       f"max(swath_training_mean_iou{{{R}}})", decimals=3),
                number("Chips", "That an epoch trains on.", f"max(swath_training_chips{{{R}}})", decimals=0),
            ],
        ),
        (
            "Learning",
            [
                lines("Loss", "Mean of the epoch so far. A loss that is no number ends the training.",
                      (f"max(swath_training_loss{{{R}}})", "loss"), alert="SwathTrainingFails", least=None),
                lines("Mean IoU", "On the validation chips.", (f"max(swath_training_mean_iou{{{R}}})", "mean IoU"),
                      most=1),
            ],
        ),
        (
            "Speed",
            [
                lines("Chips a second", "Of all ranks together.",
                      (f"max(swath_training_images_per_second{{{R}}})", "chips"), unit="ops"),
                lines("Waiting for chips", "The share of the epoch's time, of the first rank of each training.",
                      ("swath_worker_training_chip_wait_ratio", "{{worker}}"), unit="percentunit", most=1,
                      limits=[(0, GREEN), (0.1, YELLOW), (0.3, RED)]),
                lines("Waiting for other ranks",
                      "The share of the time in which gradients were summed and nothing else was left to compute.",
                      ('rate(swath_worker_training_sum_seconds_total{part="waited"}[$__rate_interval])', "{{worker}}"),
                      unit="percentunit", most=1, limits=[(0, GREEN), (0.1, YELLOW), (0.3, RED)]),
                lines("Summing gradients", "The share of the time in which they were on their way.",
                      ('rate(swath_worker_training_sum_seconds_total{part="all"}[$__rate_interval])', "{{worker}}"),
                      unit="percentunit", most=1),
            ],
        ),
    ],
)
