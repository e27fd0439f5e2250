"""SMP, the Skill Mixture-of-Experts Policy (arXiv 2601.21251): read `policy` first, the paper beside you.

    paper                                           here
    a = B(s)(g * z)                 decoder         basis.decode, policy.decode
    B(s) = orth(W(s))               Eq. 2           basis.orthonormalise, basis.BoundedBasis
    g_t ~ Dir(kappa g + alpha0 th)  Eq. 3           gate.sticky_prior
    q(g|s, a), p(g|s)               sec. 4.1        gate.DirichletHead (posterior, router)
    m_i = g_i^2, coverage tau       sec. 4.2        select.coverage
    ELBO                            Eq. 6           policy.loss, of which
      L_recon                                       reconstruction.expected_error
      L_coeff                                       policy._coeff, diffusion.Diffusion.loss
      L_gate                                        gate.gate_kl
      L_align                                       gate.dirichlet_kl in policy.loss
    training, inference             Alg. 1, 2       policy.loss, policy.act

Shapes: N segments or environments, L policy steps, H rows, d actions, K experts, E features; B [N, L, d, K],
g [N, L, K], A [N, L, H, d], U and z [N, L, H, K]. "METHOD" followed by a number in this package is the section of the
project's method notes that a choice rests on. Ablation A8 (`basis.rank`, `basis.spans`) changes shapes alone, to those
of `config.directions` and `config.coefficients`; `basis.in_rows_of` says how.

DEVIATIONS from the paper, all of them. It says nothing on chunks, eps, kappa, network shapes: those are `config`.
 1. Chunks: one basis and one gate for all H rows; L_recon is the mean over rows, so that it weighs against one gate
    KL as it does in the paper, whose actions are single rows.
 2. Gram-Schmidt done twice instead of QR with fixed signs: the same B, without LAPACK.
 3. W(s) is bounded around a learned centre, loosely (rho = 0.99): a column may turn to the way of the chunk, and which
    of them does is what the gate says. Tightly (METHOD 3.2) it takes four to five experts to say one direction.
 4. L_recon is the expectation over sampled gates, in closed form. At the mean gate, as written, the gate cancels:
    q learns nothing, and B only up to a rotation (`loss.reconstruct = "mean"` shows it).
 5. Targets of the experts are U / (g + eps) with the router's mean once the ramp is over, not q's: the router's is what
    decodes. The whole target is stopped, divisor included. Acting multiplies by g + eps, which undoes the division
    exactly; L_recon keeps the paper's bare g.
 6. Targets are standardised for every row and expert and held within five deviations.
 7. Experts read every active coefficient, the mask and the gate, and are trained on random active sets
    (`network.sees = "own"`: each its own coefficient alone). L_coeff averages over active coefficients.
 8. The network's output is a velocity behind a fixed skip, and L_coeff its squared error, weighed by the coefficient's
    share g^2 of the action (`diffusion.error = "noise"`, `loss.weigh = "even"`: the paper's).
 9. The gate term weighs 0.03 and grows from 0 over the first fifth: at weight 1 gates collapse. L_coeff weighs 30 and
    L_recon 3, for the sake of the encoder, which all terms share. The gate term's expectations over
    g_{t-1} and theta are taken at the means. Where a segment does not begin an episode, its first gate has no prior.
10. beta = floor + (beta_0 - K floor) softmax(l): no Dirichlet parameter below 0.02, where lnGamma loses its digits.
11. L_align does not move q, nor L_coeff the encoder other than through the experts' conditioning.
12. Options that the paper lacks, off unless asked for: coverage for each arm, committed rows, and the sticky filter,
    which says who acts while the router's mean still says how strongly (it divided the targets).
13. Acting begins from half the noise (`diffusion.temperature`).
"""
