import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from quadgate.training import Callback, DivergedError, Examples, History, Plan, Settings, fit
from quadgate.training.checkpoint import Position, State
from quadgate.training.loop import learning_rate, make_optimizer, train_step
from quadgate.training.losses import measure
from small_training import QUICK, assert_same_bits, small_examples, small_network, weights


class Stop(Callback):
    """Interrupts after some batches of a fit, as a key would."""

    def __init__(self, batches):
        self.batches = batches

    def on_batch(self, *progress):
        if progress[1] == self.batches:
            raise KeyboardInterrupt


def fitted(settings=QUICK, **given):
    module, history = small_network(settings), History()
    position = fit(module, small_examples(), small_examples(9, seed=1), settings, history=history, **given)
    return module, position, history


def without_time(history):
    return [{name: value for name, value in vars(record).items() if name != "seconds"} for record in history.epochs]


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    one, _, history = fitted()
    torch.manual_seed(99)
    other, _, again = fitted()
    assert_same_bits(weights(one), weights(other))
    assert without_time(history) == without_time(again)
    third, _, _ = fitted(QUICK.changed(seed=4))
    assert not np.array_equal(weights(one)["weights"], weights(third)["weights"])


def test_the_callers_generator_is_left_alone():
    torch.manual_seed(5)
    module = small_network()
    before = torch.random.get_rng_state()
    fit(module, small_examples(), None, QUICK)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("batches", [1, 4, 5, 9, 15])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_an_interrupted_fit_goes_on_to_the_same_bits(tmp_path, batches, optimizer):
    settings = QUICK.changed(optimizer=optimizer, dropout=0.4)
    whole, position, history = fitted(settings)
    plan = Plan("search", settings.epochs, tmp_path / "checkpoint")
    file = tmp_path / "history"
    valid = small_examples(9, seed=1)
    with pytest.raises(KeyboardInterrupt):
        fit(small_network(settings), small_examples(), valid, settings, plan, History(file), [Stop(batches)])
    module = small_network(settings, seed=77)  # every number comes from the checkpoint, or nothing was done yet
    if not plan.checkpoint.exists():
        module = small_network(settings)
    resumed = History(file)
    assert fit(module, small_examples(), valid, settings, plan, resumed) == position
    assert_same_bits(weights(whole), weights(module))
    assert without_time(resumed) == without_time(history)


def test_a_fit_that_is_over_does_nothing_when_it_is_resumed(tmp_path):
    plan = Plan("search", QUICK.epochs, tmp_path / "checkpoint")
    module, position, _history = fitted(plan=plan)
    again = small_network(seed=77)
    assert fit(again, small_examples(), small_examples(9, seed=1), QUICK, plan, callbacks=[Stop(1)]) == position
    assert_same_bits(weights(module), weights(again))


def test_an_interrupt_leaves_the_best_weights():
    module, valid = small_network(), small_examples(9, seed=1)
    history = History()
    with pytest.raises(KeyboardInterrupt):
        fit(module, small_examples(), valid, QUICK, history=history, callbacks=[Stop(11)])
    best = min(record.valid_loss for record in history.epochs)
    assert len(history.epochs) == 2
    assert measure(module, valid, 4)[0] == pytest.approx(best, rel=1e-6)


def test_the_best_epoch_is_kept_and_patience_ends_the_fit():
    settings = QUICK.changed(epochs=40, patience=2, learning_rate=0.3, decay=False)
    module, position, history = fitted(settings)
    losses = [record.valid_loss for record in history.epochs]
    assert position.best_loss == min(losses)
    assert position.best_epoch == 1 + int(np.argmin(losses))
    assert position.epoch == position.best_epoch + 2 < 40
    assert measure(module, small_examples(9, seed=1), 4)[0] == pytest.approx(min(losses), rel=1e-6)


def test_without_a_validation_part_the_last_weights_stay():
    module = small_network()
    history = History()
    position = fit(module, small_examples(), None, QUICK, Plan("refit", 3), history)
    assert (position.epoch, position.best_epoch, position.best_loss) == (3, 3, None)
    assert [(r.stage, r.valid_loss, r.valid_accuracy) for r in history.epochs] == [("refit", None, None)] * 3


def test_one_step_of_adam_by_hand():
    """After one step Adam has moved each weight by the rate against the sign of the clipped gradient."""
    settings = Settings(optimizer="adam", noise=0.0, dropout=0.0, clip=0.05, label_smoothing=0.1)
    module = small_network(settings)
    before = weights(module)
    x, lengths, targets = small_examples().batch(np.arange(5))
    state = State(module, make_optimizer(module, settings), Position(), {})
    loss, norm = train_step(state, x, lengths, targets, 0.01, settings)

    reference = small_network(settings)
    logits = reference(x, lengths)
    chances = torch.log_softmax(logits, 1)
    smooth = 0.9 * chances[torch.arange(5), targets] + 0.1 * chances.mean(1)
    expected = -smooth.mean()
    expected.backward()
    gradients = {name: p.grad.numpy() for name, p in reference.named_parameters()}
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert norm == pytest.approx(np.sqrt(sum(np.square(g).sum() for g in gradients.values())), rel=1e-5)
    assert norm > settings.clip
    for name, gradient in gradients.items():
        clipped = gradient * settings.clip / norm
        moved = before[name] - 0.01 * clipped / (np.abs(clipped) + 1e-8)
        np.testing.assert_allclose(weights(module)[name], moved, rtol=1e-4, atol=2e-6, err_msg=name)


def test_weight_decay_spares_vectors():
    optimizer = make_optimizer(small_network(), QUICK.changed(weight_decay=0.5))
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.5 if parameter.ndim > 1 else 0.0)


def test_the_rate_falls_along_half_a_cosine():
    settings = Settings(learning_rate=0.2, decay=True)
    assert learning_rate(0, 80, settings) == 0.2
    assert learning_rate(20, 80, settings) == pytest.approx(0.2 * (1 + np.cos(np.pi / 4)) / 2)
    assert learning_rate(80, 80, settings) == pytest.approx(0.0, abs=1e-17)
    assert learning_rate(70, 80, settings.changed(decay=False)) == 0.2


def test_measuring_does_not_depend_on_the_batches():
    module, examples = small_network(), small_examples()
    x, lengths, targets = examples.batch(np.arange(len(examples)))
    module.eval()
    logits = module(x, lengths)
    expected = cross_entropy(logits, targets).item(), (logits.argmax(1) == targets).float().mean().item()
    for batch_size in (1, 5, 13, 100):
        assert measure(module, examples, batch_size) == pytest.approx(expected, rel=1e-5)


def weighted_examples():
    plain = small_examples()
    return Examples(plain.series, plain.targets, np.random.default_rng(2).uniform(0.1, 3, len(plain)))


def test_measuring_by_weight():
    module, examples = small_network(), weighted_examples()
    x, lengths, targets = examples.batch(np.arange(len(examples)))
    module.eval()
    logits = module(x, lengths).detach()
    each = cross_entropy(logits, targets, reduction="none").numpy()
    right = (logits.argmax(1) == targets).numpy()
    expected = np.average(each, weights=examples.weights), np.average(right, weights=examples.weights)
    for batch_size in (1, 5, 13):
        assert measure(module, examples, batch_size) == pytest.approx(expected, rel=1e-5)


def test_a_step_by_weight_follows_the_weighted_gradient():
    """One batch of all cases: the mean of the weighted losses, where the weights have the mean 1."""
    settings = QUICK.changed(noise=0.0, dropout=0.0, clip=1e9)
    module, examples = small_network(settings), weighted_examples()
    every = np.arange(len(examples))
    x, lengths, targets = examples.batch(every)
    each = cross_entropy(module(x, lengths), targets, reduction="none")
    shares = torch.from_numpy(examples.weights / examples.weights.sum()).float()
    expected = torch.autograd.grad((shares * each).sum(), list(module.parameters()))
    state = State(module, make_optimizer(module, settings), Position(), {})
    train_step(state, x, lengths, targets, 0.1, settings, examples.weights_of(every))
    for parameter, gradient in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-7)


def test_noise_is_added_to_the_input_of_training_alone():
    seen = []

    class Spy(torch.nn.Linear):
        def forward(self, x, _lengths):
            seen.append((self.training, x.detach().clone()))
            return super().forward(x.mean(1))

    series = tuple(np.zeros((50, 3), np.float32) for _ in range(8))
    examples = Examples(series, np.arange(8) % 2)
    fit(Spy(3, 2), examples, examples, Settings(noise=0.5, epochs=1, batch_size=8))
    (training, noisy), (validating, clean) = seen
    assert (training, validating) == (True, False)
    assert noisy.std().item() == pytest.approx(0.5, rel=0.1)
    assert not clean.any()


def test_a_loss_that_is_not_finite_ends_the_fit_with_advice():
    module = small_network()
    with torch.no_grad():
        module.biases.fill_(float("nan"))
    with pytest.raises(DivergedError, match="the weights biases are not finite, so it began in the step before"):
        fit(module, small_examples(), None, QUICK)


def test_callbacks_see_every_batch_and_epoch():
    seen = []

    class See(Callback):
        def on_batch(self, stage, done, planned):
            seen.append((stage, done, planned))

        def on_epoch(self, record):
            seen.append(record.epoch)

    fit(small_network(), small_examples(5), None, QUICK, Plan("refit", 2), callbacks=[See()])
    assert seen == [("refit", 1, 4), ("refit", 2, 4), 1, ("refit", 3, 4), ("refit", 4, 4), 2]


def test_the_fingerprint_knows_the_weights():
    assert weighted_examples().fingerprint() != small_examples().fingerprint()


def test_the_fingerprint_knows_every_number():
    examples = small_examples()
    changed = [one.copy() for one in examples.series]
    changed[4][3, 2] = np.nextafter(changed[4][3, 2], np.float32(9))
    prints = {
        examples.fingerprint(),
        Examples(tuple(changed), examples.targets).fingerprint(),
        Examples(examples.series, 1 - examples.targets).fingerprint(),
        Examples(examples.series[::-1], examples.targets).fingerprint(),
    }
    assert len(prints) == 4
    assert small_examples().fingerprint() in prints
