"""The tables of the page, column by column: which are shown, under what heading, as what kind of value."""

from dataclasses import replace

from danet.report.html_table import Column

DATASET = Column("title", "Data set")
PROTOCOL = Column("protocol", "Protocol", "code")
METHOD = Column("method", "Method", "code")
INTERVAL = ("top1_low_percent", "top1_high_percent")
TOP1 = Column("top1_mean_percent", "Top-1 %", "percent", deviation="top1_deviation_percent")
TOP1_BAR = replace(TOP1, bar=True)
SAMPLES = Column("samples", "Samples", "integer")
SEEDS = Column("seeds", "n (seeds)", "integer")
PARAMETERS = Column("parameters", "Parameters", "integer")
TRAINING_TIME = Column("seconds_mean", "Training time", "seconds")
ACTION = Column("action", "Action")
ACTION_NAME = Column("action_name", "Action")
PEOPLE = Column("people", "People", "integer")
BODIES = Column("ids", "Bodies seen", "integer")
SAMPLE = Column("name", "Sample", "code")
ACCURACY = (
    DATASET,
    PROTOCOL,
    METHOD,
    replace(TOP1, interval=INTERVAL),
    Column("top5_mean_percent", "Top-5 %", "percent", deviation="top5_deviation_percent"),
    SEEDS,
    SAMPLES,
    PARAMETERS,
    TRAINING_TIME,
    Column("validation_top1_mean_percent", "Validation top-1 %", "percent"),
    Column("calibration_error_points", "Calibration error", "percent"),
    Column("epoch_chosen_by", "Epoch chosen by"),
)
LEADERBOARD = (
    DATASET,
    PROTOCOL,
    METHOD,
    Column("top1_mean", "Top-1 %", "percent", deviation="top1_deviation", bar=True),
    Column("published_top1", "Published"),
    Column("repeated_top1", "Repeated by others"),
    Column("top1_without_copies", "Without copies", "percent"),
    Column("test_choice_points", "Won by choice on test", "points"),
    SEEDS,
    Column("streams", "Streams", "joined"),
    Column("recipe", "Recipe"),
    Column("epoch_rule", "Epoch"),
    PARAMETERS,
    Column("mmacs", "Million multiply-adds a clip", "decimal"),
    Column("train_seconds", "Training time", "seconds"),
    Column("train_clips_per_second", "Trains, clips/s", "integer"),
    Column("infer_clips_per_second", "Infers, clips/s", "integer"),
    Column("worst_turn_loss", "Lost at the worst turn", "percent"),
    Column("worst_corruption_loss", "Lost at the worst corruption", "percent"),
    Column("calibration_error", "Calibration error", "percent"),
)
COMPARED = (
    Column("method", "Method"),
    Column("year", "Year", "number"),
    Column("models_fused", "Models", "integer"),
    Column("top1_percent", "Top-1 %", "percent", deviation="top1_deviation_percent"),
    Column("difference_points", "Minus it", "points"),
    Column("parameters_millions", "Parameters, millions", "decimal"),
    Column("gflops", "GFLOPs", "decimal"),
    Column("read_in", "Read in"),
)
MULTI_VIEW = (
    DATASET,
    PROTOCOL,
    METHOD,
    Column("performances", "Performances", "integer"),
    Column("recordings", "Recordings", "integer"),
    Column("together_mean_percent", "Top-1 %, all views", "percent", deviation="together_deviation_percent"),
    Column("alone_mean_percent", "Top-1 %, each alone", "percent", deviation="alone_deviation_percent"),
    SEEDS,
)
EPOCHS = (
    DATASET,
    PROTOCOL,
    METHOD,
    Column("last_mean_percent", "Last epoch, top-1 %", "percent", deviation="last_deviation_percent"),
    Column("chosen_mean_percent", "Chosen by validation", "percent", deviation="chosen_deviation_percent"),
    Column("best_on_test_mean_percent", "Best on test: NOT a result", "percent", "best_on_test_deviation_percent"),
    Column("best_on_test_epoch_mean", "Its epoch", "plain"),
    SEEDS,
)
ABLATION = (
    DATASET,
    PROTOCOL,
    Column("variant", "Network"),
    TOP1,
    Column("difference_points", "Minus the complete one", "points"),
)
ABLATION_WITHOUT_COPIES = (
    Column(
        "top1_without_copies_mean_percent",
        "Without copies",
        "percent",
        deviation="top1_without_copies_deviation_percent",
    ),
    Column("difference_without_copies_points", "Minus the complete one", "points"),
)
ABLATION_RUNS = (
    SEEDS,
    SAMPLES,
    PARAMETERS,
    TRAINING_TIME,
)
ENSEMBLES = (
    DATASET,
    PROTOCOL,
    replace(METHOD, heading="Ensemble"),
    TOP1,
    Column("weights", "Weights"),
    Column("weights_by", "Weights chosen by"),
    SEEDS,
    SAMPLES,
    PARAMETERS,
    TRAINING_TIME,
)
COST = (
    DATASET,
    METHOD,
    Column("clip", "A clip"),
    PARAMETERS,
    Column("inference_mmacs", "Million multiply-adds a clip", "decimal"),
    Column("trains_a_second", "Trains, clips/s", "integer"),
    Column("infers_a_second", "Infers, clips/s", "integer"),
    Column("latency_median_ms", "Latency, ms", "decimal"),
    Column("latency_p95_ms", "95 % below, ms", "decimal"),
    Column("share_of_peak_percent", "% of the peak", "percent"),
    Column("training_mib", "Memory, MiB", "integer"),
    Column("measured_on", "Measured on"),
)
AGREEMENT = (
    Column("map", "Attention map"),
    Column("pairs", "Pairs of views", "integer"),
    Column("correlation", "Correlation, same performance", "decimal"),
    Column("correlation_deviation", "± over seeds", "decimal"),
    Column("other_actions", "Different actions", "decimal"),
    SEEDS,
)
ROBUSTNESS = (
    Column("what", "Corruption"),
    Column("level", "By", "plain"),
    Column("unit", "Unit"),
    SAMPLES,
    TOP1_BAR,
    Column("difference_points", "Minus unchanged", "points"),
)
PER_ACTION = (
    ACTION,
    SAMPLES,
    replace(TOP1_BAR, interval=INTERVAL),
    Column("most_taken_for", "Mostly taken for"),
    Column("taken_for_percent", "% of its samples", "percent"),
    Column("training_samples", "Trained on", "integer"),
)
CONFUSED = (
    ACTION,
    Column("predicted_action", "Taken for"),
    Column("count", "Times", "integer"),
    Column("share_percent", "% of its samples", "percent", bar=True),
)
RUNS = (
    DATASET,
    PROTOCOL,
    METHOD,
    Column("seed", "Seed", "number"),
    Column("top1_percent", "Top-1 %", "percent"),
    Column("top5_percent", "Top-5 %", "percent"),
    Column("epoch", "Epoch", "number"),
    Column("validation_top1_percent", "Validation top-1 %", "percent"),
    Column("train_samples", "Train", "integer"),
    Column("validation_samples", "Validation", "integer"),
    Column("test_samples", "Test", "integer"),
    Column("seconds", "Training time", "seconds"),
    Column("device", "Device"),
)
SET_ASIDE = (
    SAMPLE,
    Column("reason", "Reason"),
    Column("place", "Place"),
    Column("expected", "Expected"),
    Column("got", "Got"),
)
AUDIT = (
    ACTION_NAME,
    PEOPLE,
    SAMPLES,
    Column("frames", "Frames", "integer"),
    Column("lost_frames", "Lost frames", "integer"),
    BODIES,
    Column("kept", "Kept", "integer"),
    Column("bridged", "Joints bridged", "integer"),
    Column("never_seen", "Joints never found", "integer"),
    Column("dropped_unseen", "Hardly found", "integer"),
    Column("dropped_short", "Too short", "integer"),
    Column("dropped_noisy", "Too noisy", "integer"),
    Column("dropped_still", "Never moves", "integer"),
    Column("dropped_overlap", "No room", "integer"),
    Column("jumping", "Jumping", "integer"),
    Column("jump", "Largest jump, m", "decimal"),
    Column("gaps", "Gap frames", "integer"),
    Column("retimed", "Retimed", "integer"),
    Column("nobody", "Nobody left", "integer"),
    Column("unexpected_second", "One person, two kept", "integer"),
    Column("missing_second", "Two people, fewer kept", "integer"),
)
UNEXPECTED = (
    SAMPLE,
    ACTION_NAME,
    PEOPLE,
    BODIES,
    Column("actors", "Actors kept", "integer"),
)
