"""The tested families at toy width: each model from its real configuration class, each processor of its real class.

Widths are as small as the classes allow; what a family does unlike the others (windows, deep-stacked features, tiles,
row marks, line breaks round an image) is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from rethinker.models.tiny import CHAT_TEMPLATE

QWEN_MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
CORPUS = ("How many squares are in the picture?\n\n", "Please reason step by step, and put your final answer within")

IMAGE_FIRST = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
MROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}

Toy = tuple[Any, Any]
"""A model for generation, and its processor or, of a text-only model, its tokenizer."""


# ---- tokenizers ----


@cache
def _byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False, min_frequency=1)
    )
    trained = json.loads(bpe.to_str())["model"]
    return trained["vocab"], [tuple(pair) for pair in trained["merges"]]


def qwen_tokenizer(*marks: str, template: str = CHAT_TEMPLATE, **named: str) -> Any:
    """Qwen's tokenizer class; `named` marks become attributes such as `image_token`."""
    vocab, merges = _byte_pairs()
    tokenizer = hf.Qwen2Tokenizer(
        vocab=dict(vocab),
        merges=list(merges),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,
        extra_special_tokens=[*QWEN_MARKS, *marks, *named.values()],
        model_max_length=4096,
    )
    if named:
        tokenizer._set_model_specific_special_tokens(special_tokens=named)
    tokenizer.chat_template = template
    return tokenizer


def gemma_tokenizer() -> Any:
    """Gemma's tokenizer class, with line breaks that merge."""
    marks = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    turns = ("<start_of_turn>", "<end_of_turn>")
    pieces = [f"<0x{byte:02X}>" for byte in range(256)] + ["\n" * n for n in (1, 2, 4)] + ["▁", "▁p", "te", "st"]
    pieces += [chr(code) for code in range(33, 127)]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys((*marks, *turns, *named.values(), *pieces)))}
    merges = [("\n", "\n"), ("\n\n", "\n\n"), ("▁", "p"), ("t", "e"), ("s", "t")]
    tokenizer = hf.GemmaTokenizer(vocab=vocab, merges=merges, extra_special_tokens=[*turns, *named.values()])
    tokenizer._set_model_specific_special_tokens(special_tokens=named)
    tokenizer.chat_template = GEMMA_TEMPLATE
    return tokenizer


def _ids(tokenizer: Any, **tokens: str) -> dict[str, int]:
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def _text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return {"vocab_size": len(tokenizer), **TEXT, **ends, "bos_token_id": tokenizer.bos_token_id, **more}


# ---- families ----


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    starts = {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return _ids(tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>", **starts)


def _qwen_processor(kind: type, tokenizer: Any, *, patch: int) -> Any:
    area = (2 * patch) ** 2
    shape = {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2}
    size = {"shortest_edge": area, "longest_edge": 12 * area}
    return kind(
        image_processor=hf.Qwen2VLImageProcessor(size=size, **shape),
        tokenizer=tokenizer,
        video_processor=hf.Qwen2VLVideoProcessor(size=size, **shape),
        chat_template=CHAT_TEMPLATE,
    )


def qwen2_vl() -> Toy:
    tokenizer = qwen_tokenizer(*QWEN_VISION)
    config = hf.Qwen2VLConfig(
        text_config=_text(tokenizer, rope_parameters=MROPE),
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2},
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    return hf.Qwen2VLForConditionalGeneration(config), _qwen_processor(hf.Qwen2VLProcessor, tokenizer, patch=14)


def qwen2_5_vl() -> Toy:
    tokenizer = qwen_tokenizer(*QWEN_VISION)
    tower = {"depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32}
    config = hf.Qwen2_5_VLConfig(
        text_config=_text(tokenizer, rope_parameters=MROPE),
        vision_config=tower | {"window_size": 56, "fullatt_block_indexes": [2]},
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), _qwen_processor(hf.Qwen2_5_VLProcessor, tokenizer, patch=14)


def _qwen3_tower() -> dict[str, Any]:
    tower = {"depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32}
    return tower | {"patch_size": 16, "num_position_embeddings": 64}


def qwen3_vl() -> Toy:
    tokenizer = qwen_tokenizer(*QWEN_VISION)
    config = hf.Qwen3VLConfig(
        text_config=_text(tokenizer, head_dim=8, rope_parameters=MROPE | {"mrope_interleaved": True}),
        vision_config=_qwen3_tower() | {"deepstack_visual_indexes": [0, 1]},
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    return hf.Qwen3VLForConditionalGeneration(config), _qwen_processor(hf.Qwen3VLProcessor, tokenizer, patch=16)


def qwen3_5() -> Toy:
    tokenizer = qwen_tokenizer(*QWEN_VISION)
    linear = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    linear |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    rope = MROPE | {"mrope_interleaved": True, "partial_rotary_factor": 0.5}
    kinds = ["linear_attention", "full_attention", "linear_attention"]
    config = hf.Qwen3_5Config(
        text_config=_text(tokenizer, head_dim=16, rope_parameters=rope, layer_types=kinds, **linear),
        vision_config=_qwen3_tower(),
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    return hf.Qwen3_5ForConditionalGeneration(config), _qwen_processor(hf.Qwen3VLProcessor, tokenizer, patch=16)


def internvl3() -> Toy:
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    template = IMAGE_FIRST.replace("IMAGE", "<IMG_CONTEXT>\n")
    tokenizer = qwen_tokenizer(template=template, video_token="<video>", **named)
    config = hf.InternVLConfig(
        text_config=_text(tokenizer, model_type="qwen2"),
        vision_config=TOWER | {"image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        tie_word_embeddings=True,
    )
    processor = hf.InternVLProcessor(
        image_processor=hf.GotOcr2ImageProcessor(
            size={"height": 56, "width": 56}, crop_to_patches=True, min_patches=1, max_patches=6
        ),
        tokenizer=tokenizer,
        video_processor=hf.InternVLVideoProcessor(size={"height": 56, "width": 56}),
        image_seq_length=4,
        chat_template=template,
    )
    return hf.InternVLForConditionalGeneration(config), processor


def gemma3() -> Toy:
    tokenizer = gemma_tokenizer()
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    ids = _ids(
        tokenizer,
        boi_token_index="<start_of_image>",
        eoi_token_index="<end_of_image>",
        image_token_index="<image_soft_token>",
        eos_token_id="<end_of_turn>",
    )
    config = hf.Gemma3Config(
        text_config=_text(tokenizer, head_dim=8, query_pre_attn_scalar=8, sliding_window=24, layer_types=kinds),
        vision_config=TOWER | {"image_size": 56, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4,
        **ids,
    )
    processor = hf.Gemma3Processor(
        image_processor=hf.Gemma3ImageProcessor(size={"height": 56, "width": 56}),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=GEMMA_TEMPLATE,
    )
    return hf.Gemma3ForConditionalGeneration(config), processor


def gemma4(*, bidirectional: str | None = "vision", **text: Any) -> Toy:
    """With `bidirectional` as in the larger models; the smaller ones set None, per-layer inputs and shared keys."""
    template = IMAGE_FIRST.replace("IMAGE", "<image>")
    named = {"image_token": "<image>", "boi_token": "<img>", "eoi_token": "</img>", "video_token": "<video>"}
    named |= {"audio_token": "<audio>", "boa_token": "<sound>", "eoa_token": "</sound>"}
    tokenizer = qwen_tokenizer(template=template, **named)
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
    depths = {"num_hidden_layers": 4, "layer_types": kinds, "sliding_window": 24, "num_kv_shared_layers": 0}
    depths |= {"head_dim": 8, "global_head_dim": 16, "hidden_size_per_layer_input": 0}
    config = hf.Gemma4Config(
        text_config=_text(tokenizer, **depths, use_bidirectional_attention=bidirectional)
        | {"vocab_size_per_layer_input": len(tokenizer)}
        | text,
        vision_config=TOWER
        | {"num_key_value_heads": 4, "head_dim": 8, "patch_size": 4, "pooling_kernel_size": 2}
        | {"position_embedding_size": 64},
        audio_config=None,
        tie_word_embeddings=True,
        **_ids(tokenizer, **{f"{name}_id": token for name, token in named.items() if name != "eoa_token"}),
    )
    cut = {"patch_size": 4, "pooling_kernel_size": 2}
    processor = hf.Gemma4Processor(
        feature_extractor=hf.Gemma4AudioFeatureExtractor(),
        image_processor=hf.Gemma4ImageProcessor(max_soft_tokens=70, **cut),
        tokenizer=tokenizer,
        video_processor=hf.Gemma4VideoProcessor(**cut),
        chat_template=template,
    )
    return hf.Gemma4ForConditionalGeneration(config), processor


def llava_onevision() -> Toy:
    template = IMAGE_FIRST.replace("IMAGE", "<image>")
    tokenizer = qwen_tokenizer(template=template, image_token="<image>", video_token="<video>")
    grid = [[28, 28], [28, 56], [56, 28], [56, 56], [28, 84], [84, 28]]
    config = hf.LlavaOnevisionConfig(
        text_config=_text(tokenizer, model_type="qwen2"),
        vision_config=TOWER
        | {"model_type": "siglip_vision_model", "image_size": 28, "patch_size": 14, "vision_use_head": False},
        image_grid_pinpoints=grid,
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        tie_word_embeddings=True,
    )
    size = {"height": 28, "width": 28}
    processor = hf.LlavaOnevisionProcessor(
        image_processor=hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=grid),
        tokenizer=tokenizer,
        video_processor=hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=template,
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


def smolvlm2() -> Toy:
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    marks = ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<image>", *rows)
    template = IMAGE_FIRST.replace("IMAGE", "<image>")
    tokenizer = qwen_tokenizer(*marks, template=template)
    config = hf.SmolVLMConfig(
        text_config=_text(tokenizer, model_type="llama"),
        vision_config=TOWER | {"image_size": 32, "patch_size": 8},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=True,
    )
    processor = hf.SmolVLMProcessor(
        image_processor=hf.SmolVLMImageProcessor(size={"longest_edge": 96}, max_image_size={"longest_edge": 32}),
        tokenizer=tokenizer,
        video_processor=hf.SmolVLMVideoProcessor(size={"longest_edge": 96}, max_image_size={"longest_edge": 32}),
        image_seq_len=4,
        chat_template=template,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor


def qwen3() -> Toy:
    tokenizer = qwen_tokenizer()
    return hf.Qwen3ForCausalLM(hf.Qwen3Config(**_text(tokenizer, head_dim=8))), tokenizer


def mamba() -> Toy:
    tokenizer = qwen_tokenizer()
    config = hf.MambaConfig(vocab_size=len(tokenizer), hidden_size=32, state_size=4, num_hidden_layers=2)
    return hf.MambaForCausalLM(config), tokenizer


TOYS: dict[str, Callable[[], Toy]] = {
    "Qwen2-VL": qwen2_vl,
    "Qwen2.5-VL": qwen2_5_vl,
    "Qwen3-VL": qwen3_vl,
    "InternVL3": internvl3,
    "Gemma 3": gemma3,
    "Gemma 4": gemma4,
    "LLaVA-OneVision": llava_onevision,
    "SmolVLM2": smolvlm2,
    "Qwen3 (text)": qwen3,
    "Qwen3.5 (hybrid)": qwen3_5,
    "Mamba (text, recurrent)": mamba,
}


_MATRICES = (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv2d, torch.nn.Conv3d)
_SCALE = 8.0
"""Initial weights are meant for great widths; at this one they would leave too little of an image for a mistake to
show."""


def build(name: str, *, seed: int = 0) -> Toy:
    """A toy whose weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module, processor = TOYS[name]()
        for weight in module.parameters():
            if weight.ndim == 2 and not weight.any():  # Gemma's projector starts at nothing
                torch.nn.init.normal_(weight, std=0.2)
    weights = [part.weight for part in module.modules() if isinstance(part, _MATRICES)]
    for weight in {id(weight): weight for weight in weights}.values():
        weight.data.mul_(_SCALE)
    tokenizer = processor if isinstance(processor, hf.PreTrainedTokenizerBase) else processor.tokenizer
    ends = "<end_of_turn>" if name == "Gemma 3" else "<|im_end|>"
    module.generation_config = hf.GenerationConfig(
        eos_token_id=[tokenizer.convert_tokens_to_ids(ends)], pad_token_id=tokenizer.pad_token_id
    )
    return module.eval(), processor
