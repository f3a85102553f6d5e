"""The rows of published files that depart from the authors' present code, with the reason. File → row → reason."""

INTEGERS = "published when integers were read by int(x), which refuses '2.0'; now they are read by int(float(x))"
OTHER_OPTIONS = (
    "mix_data has nine options and the answer C, the hub one option that is a list and the answer B: the verdict is by "
    "the hub's row"
)

DEPARTURES: dict[str, dict[str, str]] = {
    "mathvista/gpt4_2shot_code": dict.fromkeys(
        ("21", "289", "295", "472", "484", "508", "525", "720", "799", "904"), INTEGERS
    ),
    "mmmu_pro/gpt4o_HEAD_standard_10_options__cot": {"validation_Accounting_29": OTHER_OPTIONS},
    "mmmu_pro/gpt4o_HEAD_standard_10_options__direct": {"validation_Accounting_29": OTHER_OPTIONS},
    "mmmu_pro/gpt4o_HEAD_vision_direct": {"validation_Accounting_29": OTHER_OPTIONS},
}

RENAMED_GRADE = {"daily life": "not applicable"}
"""MathVista's grade as published with the runs → as the data have it now."""
