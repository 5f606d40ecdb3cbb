import copy

import pytest

torch = pytest.importorskip("torch", reason="recasting needs torch: pip install 'nnlut[train]'")

from torch import nn  # noqa: E402

from hw.design import design  # noqa: E402
from hw.plan import Plan, PlannedSite, PlannedUnit  # noqa: E402
from hw.request import Request  # noqa: E402
from nnlut_train.errors import StepError, UsageError  # noqa: E402
from nnlut_train.network.finetune import distillation, finetune  # noqa: E402
from nnlut_train.network.recast import blocks_of, recast  # noqa: E402
from nnlut_train.network.replace import replace  # noqa: E402
from nnlut_train.network.training import output_of, repeatable  # noqa: E402


class Block(nn.Module):
    def __init__(self, result=lambda x: x):
        super().__init__()
        self.linear, self.result = nn.Linear(8, 8), result
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        x = x[0] if isinstance(x, tuple) else x
        return self.result(x + self.dropout(nn.functional.gelu(self.linear(x))))


class Model(nn.Module):
    def __init__(self, blocks=3, result=lambda x: x):
        super().__init__()
        self.layers = nn.ModuleList(Block(result) for _ in range(blocks))
        self.head = nn.Linear(8, 4)
        self.repeats = 1

    def forward(self, x):
        for layer in self.layers:
            for _ in range(self.repeats):
                x = layer(x)
        return self.head(x[0] if isinstance(x, tuple) else x)


def poor_plan(blocks=3):
    """GELU of four lines over (-32, 32)."""
    request = Request("gelu", bits=8, input_frac=2, entries=4, fit="linear", fold="none")
    (arch,) = request.wanted
    unit = PlannedUnit(request, arch, design(request, arch))
    sites = {f"layers.{i}.gelu": PlannedSite("gelu", "gelu") for i in range(blocks)}
    return Plan({"gelu": unit}, sites, {})


def pair(**options):
    torch.manual_seed(1)
    teacher = Model(**options).eval()
    student = copy.deepcopy(teacher)
    replace(student, poor_plan(len(teacher.layers)))
    return student, teacher


def inputs(count=4):
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(16, 8, generator=generator) for _ in range(count)]


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before, model):
    return {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }


def activation(model, block, batches):
    found = []
    hook = model.get_submodule(block).register_forward_hook(lambda m, a, y: found.append(y))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    hook.remove()
    return torch.stack(found)


def flags(model):
    return (
        [module.training for module in model.modules()],
        [(p.requires_grad, p.grad) for p in model.parameters()],
    )


def test_recasting_lowers_the_error_behind_each_block():
    student, teacher = pair()
    report = recast(student, teacher, None, inputs(), steps=40, lr=1e-2)
    assert [each.block for each in report.blocks] == ["layers.0", "layers.1", "layers.2"]
    assert [each.target for each in report.blocks] == ["layers.1", "layers.2", "the output"]
    assert all(0 < each.after < 0.8 * each.before for each in report.blocks)
    assert str(report).count("\n") == 2
    assert "error at the output" in str(report)


def test_the_reported_error_is_that_behind_the_next_block():
    student, teacher = pair()
    before = copy.deepcopy(teacher)
    replace(before, poor_plan())
    report = recast(student, teacher, ["layers.0", "layers.1"], inputs(), steps=5)
    wanted = activation(teacher, "layers.1", inputs())
    first = (activation(before, "layers.1", inputs()) - wanted).square().mean().item()
    assert report.blocks[0].before == pytest.approx(first, rel=1e-5)
    with torch.no_grad():
        outputs = [(student(x) - teacher(x)).square().mean().item() for x in inputs()]
    # The last block named is matched at the model's output, though blocks come after it.
    assert report.blocks[1].after == pytest.approx(sum(outputs) / len(outputs), rel=1e-5)


@pytest.mark.parametrize("block", ["layers.0", "layers.2"])
def test_only_the_blocks_parameters_change(block):
    student, teacher = pair()
    before, exact = state(student), state(teacher)
    recast(student, teacher, [block], inputs(), steps=5)
    assert changed(before, student) == {f"{block}.linear.weight", f"{block}.linear.bias"}
    assert not changed(exact, teacher)


def test_modes_and_flags_are_put_back():
    student, teacher = pair()
    student.train()
    student.layers[1].eval()
    student.head.bias.requires_grad_(False)
    teacher.layers[0].train()
    found = flags(student), flags(teacher)
    recast(student, teacher, None, inputs(), steps=2)
    assert (flags(student), flags(teacher)) == found
    finetune(
        student, inputs(), loss=distillation(teacher), epochs=1, params=[student.head.bias],
    )  # fmt: skip
    assert (flags(student), flags(teacher)) == found
    assert all(not m._forward_hooks for m in teacher.modules())


def test_they_are_put_back_after_an_error_too():
    student, teacher = pair()
    student.train()
    found = flags(student)[0], [p.requires_grad for p in student.parameters()]
    with pytest.raises(UsageError, match="in the order in which they run"):
        recast(student, teacher, ["layers.2", "layers.0"], inputs())
    assert (flags(student)[0], [p.requires_grad for p in student.parameters()]) == found


def test_recasting_is_deterministic_by_the_seed():
    results = []
    for seed in (0, 0, 1):
        student, teacher = pair()
        student.train()  # no dropout even so
        recast(student, teacher, None, inputs(), steps=6, seed=seed)
        results.append(state(student))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert changed(results[0], student)


def test_a_block_that_training_made_worse_keeps_its_parameters():
    student, teacher = pair()
    before = state(student)
    report = recast(student, teacher, ["layers.0"], inputs(), steps=3, lr=1e3)
    assert report.blocks[0].after == report.blocks[0].before
    assert not changed(before, student)


def test_blocks_may_return_tuples_and_batches_may_be_mappings():
    student, teacher = pair(result=lambda x: (x, "more"))
    batches = ({"x": x} for x in inputs())  # read once, gone through often
    report = recast(student, teacher, None, batches, steps=40, lr=1e-2)
    assert all(each.after < each.before for each in report.blocks)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (["layers.0", "layers.9"], "but the student has no module 'layers.9'"),
        ([""], "but the student has no module ''"),
        ([], "blocks must name at least one module"),
        (["layers.0", "layers.0"], "blocks must name each module once"),
        (["layers.0.dropout"], "block layers.0.dropout must have parameters to train"),
    ],
)
def test_wrong_blocks_are_refused(blocks, message):
    student, teacher = pair()
    with pytest.raises(UsageError, match=message):
        recast(student, teacher, blocks, inputs(), steps=1)


def test_a_teacher_without_the_block_is_refused():
    student, _ = pair()
    with pytest.raises(UsageError, match=r"the teacher has no module 'layers.2'"):
        recast(student, Model(blocks=2), None, inputs(), steps=1)


def test_a_student_that_shares_parameters_is_refused():
    student, teacher = pair()
    student.head = teacher.head
    for use in (
        lambda: recast(student, teacher, None, inputs(), steps=1),
        lambda: finetune(student, inputs(), loss=distillation(teacher), epochs=1),
    ):
        with pytest.raises(UsageError, match=r"head.weight is the teacher's: copy.deepcopy"):
            use()


def test_a_block_that_runs_twice_is_refused():
    student, teacher = pair()
    student.repeats = teacher.repeats = 2
    with pytest.raises(UsageError, match=r"layers\.1 must run once in a call of the model, not 2"):
        recast(student, teacher, None, inputs(), steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, not 0"),
        ({"lr": 0.0}, "lr must be a positive number, not 0.0"),
        ({"lr": float("nan")}, "lr must be a positive number, not nan"),
    ],
)
def test_wrong_numbers_are_refused(options, message):
    student, teacher = pair()
    with pytest.raises(UsageError, match=message):
        recast(student, teacher, None, inputs(), **options)


@pytest.mark.parametrize("batches", [[], iter(()), torch.zeros(4, 8), {"x": torch.zeros(4, 8)}])
def test_wrong_batches_are_refused(batches):
    student, teacher = pair()
    with pytest.raises(UsageError, match="batches must be"):
        recast(student, teacher, None, batches, steps=1)


def test_a_model_without_blocks_is_refused():
    assert blocks_of(nn.Sequential(Model(2), Model(3))) == [f"1.layers.{i}" for i in range(3)]
    with pytest.raises(UsageError, match="must have a ModuleList of two or more blocks"):
        blocks_of(nn.Linear(2, 2))


def test_a_loss_that_is_not_finite_is_told():
    student, teacher = pair()
    with pytest.raises(StepError, match=r"training block layers\.0: the loss of step 0 is inf"):
        recast(student, teacher, None, [torch.full((2, 8), 1e30)], steps=1)


def labelled():
    return [(x, x[:, :4].argmax(-1)) for x in inputs()]


def by_labels(student, batch):
    return nn.functional.cross_entropy(student(batch[0]), batch[1])


def test_finetuning_lowers_the_loss():
    student, _ = pair()
    report = finetune(student, labelled(), loss=by_labels, epochs=10, lr=1e-2)
    assert len(report.epochs) == 10
    assert report.after < 0.8 * report.before
    with torch.no_grad():
        found = [by_labels(student.eval(), batch).item() for batch in labelled()]
    assert report.after == pytest.approx(sum(found) / len(found), rel=1e-6)


def test_distillation_is_the_error_of_the_logits_and_the_labels_cross_entropy():
    student, teacher = pair()
    call, (batch, *_) = (lambda model, batch: model(batch[0])), labelled()
    loss = distillation(teacher, call=call, labels=lambda batch: batch[1], weight=0.5)
    error = (student.eval()(batch[0]) - teacher(batch[0])).square().mean()
    assert loss(student, batch).item() == pytest.approx(
        (error + 0.5 * by_labels(student, batch)).item(), rel=1e-6
    )
    assert distillation(teacher, call=call)(student, batch).item() == pytest.approx(error.item())


def test_finetuning_changes_the_given_parameters_only():
    student, _ = pair()
    before = state(student)
    finetune(
        student, labelled(), loss=by_labels, epochs=1, params=student.head.parameters(),
    )  # fmt: skip
    assert changed(before, student) == {"head.weight", "head.bias"}
    student.head.requires_grad_(False)
    before = state(student)
    finetune(student, labelled(), loss=by_labels, epochs=1)
    assert changed(before, student) == {name for name in before if name.startswith("layers")}


def test_finetuning_is_deterministic_by_the_seed_and_leaves_the_generator():
    results = []
    for seed in (3, 3, 4):
        student, _ = pair()
        student.train()
        torch.manual_seed(len(results))
        wanted = torch.rand(1)
        torch.manual_seed(len(results))
        finetune(student, labelled(), loss=by_labels, epochs=2, seed=seed)
        assert torch.equal(torch.rand(1), wanted)
        results.append(state(student))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert not torch.equal(results[0]["head.weight"], results[2]["head.weight"])


def test_dropout_is_the_callers_choice():
    results = []
    for training in (False, True):
        student, _ = pair()
        student.train(training)
        seen = []
        student.layers[0].register_forward_hook(lambda m, a, y, seen=seen: seen.append(m.training))
        finetune(student, labelled(), loss=by_labels, epochs=1)
        assert student.training is training
        assert seen == 4 * [False] + 4 * [training] + 4 * [False]
        results.append(state(student))
    assert not torch.equal(results[0]["head.weight"], results[1]["head.weight"])


def test_finetuning_refuses_what_it_cannot_train():
    student, teacher = pair()
    with pytest.raises(UsageError, match="params must be parameters of the student"):
        finetune(student, labelled(), loss=by_labels, epochs=1, params=teacher.parameters())
    with pytest.raises(UsageError, match="the student must have parameters to train"):
        finetune(student, labelled(), loss=by_labels, epochs=1, params=[])
    with pytest.raises(UsageError, match="epochs must be an integer of at least 1, not 0"):
        finetune(student, labelled(), loss=by_labels, epochs=0)


def test_a_data_loader_is_gone_through_as_it_is():
    student, teacher = pair()
    loader = torch.utils.data.DataLoader(torch.cat(inputs()), batch_size=16)
    assert repeatable(loader) is loader
    report = recast(student, teacher, ["layers.0"], loader, steps=9)
    assert report.blocks[0].after < report.blocks[0].before


class Output(dict):
    """As Hugging Face's: a mapping whose fields are attributes too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def test_results_of_every_form_are_read():
    x, y = torch.zeros(1), torch.ones(1)
    for result in (x, (x, y), [x, None], Output(last=x, more=y), Output(loss=y, logits=x)):
        assert output_of(result) is x
    for result in (None, (), {}, ("text",)):
        with pytest.raises(UsageError, match="a module's result must be a tensor"):
            output_of(result)
