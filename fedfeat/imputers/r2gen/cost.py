"""What writing a report costs, in closed form: counting operators one by one takes longer than writing the report.

Tests hold it against fvcore's count.
"""

from fedfeat.imputers.r2gen.network import Sizes


def macs_behind_trunk(
    sizes: Sizes, patch_width: int, patches: int, words: int, length: int, beams: int = 3, cached: bool = True
) -> int:
    """Return the multiply-accumulates of `generate` for one image that runs all `length` steps, without its trunk.

    The image is encoded once and the first step has one sequence, the others `beams`. Without the cache every step
    computes memory and decoder for the whole prefix, and the patches' keys and values for every sequence; the output
    layer always sees the last token only. With the paper's sizes, 49 patches of 2,048, 1,015 words, 40 steps and no
    cache it is 89,949,281,280, and 94,058,645,504 with ResNet-50 at 224 pixels, the 94.059 G of Table 3.
    """
    width, slots, layers = sizes.width, sizes.slots, sizes.layers
    square, feed_forward = width**2, 2 * width * sizes.feedforward
    encoder_layer = patches * (4 * square + feed_forward) + 2 * patches**2 * width
    encoder = patches * patch_width * width + layers * encoder_layer
    patch_keys_values = layers * patches * 2 * square
    # Queries, output, MLP and gates of the slots; keys and values of slots and token; gates of the token; attention.
    memory = (6 * slots + 2 * (slots + 1) + 2) * square + 2 * slots * (slots + 1) * width
    conditioned_norms = 3 * 2 * (slots + 1) * square
    decoder_layer = 6 * square + feed_forward + conditioned_norms + 2 * patches * width
    token = memory + layers * decoder_layer
    output = width * (words + 1)
    total = encoder + (patch_keys_values if cached else 0)
    for step in range(1, length + 1):
        computed = 1 if cached else step
        attention = layers * 2 * computed * step * width
        sequence = computed * token + attention + output + (0 if cached else patch_keys_values)
        total += sequence * (1 if step == 1 else beams)
    return total
