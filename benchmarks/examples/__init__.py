"""The examples measured: `make reproduce-examples` writes results/examples.json.

Four ways to train the same model in as many steps, in 20 paired seeds (docs/EXAMPLES.md):

    non_private    pooled, without clipping and noise
    central_dp     pooled DP-SGD by plain Opacus (`pooled`)
    federated      as AFML trains it: distributed noise under blind sums (`federated`)
    local_noise    every institution its own DP-SGD by plain Opacus, models averaged (`pooled`)
"""
