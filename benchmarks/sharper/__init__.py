"""A sharper risk score at the same PLE: `python -m benchmarks.sharper --data DATA`, for results/sharper.md.

The target is PLE 0.5 sigma with 50 causal sites on the real exomes, where a release keeps 0.856 of the raw model's AUC
and the aim is 0.92 (docs/ANALYSIS_PLAN.md). Shrinking the noisy associations otherwise has been tried without success;
the variants here change where the noise goes. They are chosen on phenotype seeds 1000 and above and reported on
others, paired with the product's rounds: the same traits, the same seeds of the noise. SIMULATION: noise is seeded.

Accounting. All variants keep the product's plan: so many rounds and reserved attempts of a Gaussian mechanism at
multiplier z, in a sum that carries the same noise. What must hold of each is that adding or removing one person changes
the clipped sum of a round, as it is sent, by at most the clip norm in L2, whatever was seen before. Then the rounds
compose adaptively to the same Gaussian differential privacy (Dong, Roth, Su 2022, corollary 3.3), and nothing in a
ledger differs. A person's part is a function of that person, of public data, and of DP results of earlier rounds.

- budget: the share of the game rounds goes to the risk rounds; the multiplier is the planner's, of such a plan.
- estimate: post-processing of DP results and the panel.
- coordinates: a fixed linear map of a person's features, made from the panel alone. The gradient along the new
  coordinates is clipped to the clip norm, and the noise of each is the same. Left-out sites are sent as noise alone.
- correlated noise: round t gets row t of B z, z white. With A = B^-1 the rounds' sums G are seen as B (A G + z): one
  Gaussian mechanism, whose sensitivity is `Strategy.sensitivity` where everybody takes part in every round, or in the
  one round whose batch each was put into by a draw of their own. Sums may be chosen adaptively (Denisov et al. 2022,
  theorem 2.1). A lost round would have to be drawn again with the same z; that is counted as if it were free.
- clip, clip blocks: a smaller clip norm with noise in units of it is the same mechanism. Blocks that are each clipped
  to C / sqrt(b) make a vector of norm C at most.
- selection: after some rounds only the sites whose DP associations are strongest are measured. Their features are
  scaled so that a typical panel person is as long as before, and the gradient is clipped to the same clip norm. Which
  sites these are is a function of DP results: the choice is paid for by the rounds before it, as any adaptive step is
  (distilled sensing: Haupt, Castro, Nowak 2011, arXiv:1001.5311).

Scales are public, the panel's, and bound nothing: clipping does.
"""
