"""A stateful fake of GitHub: real HTTP on the loopback, every exchange checked against GitHub's own OpenAPI description.

    from tests.support.github.fixture import github_fake  # the fixture: the test fails when the client breaks the description

    recovery = github_fake.add_repository("acme/recovery", private=True)            # owner made along: an enterprise organization
    maria, noor = github_fake.add_user("maria", number=1001), github_fake.add_user("noor", number=1002)
    approvers = github_fake.add_team("acme/dr-approvers", [noor])
    gate = recovery.add_environment("dr-prod", reviewers=[approvers], prevent_self_review=True, branches=["main"])
    workflow = recovery.add_workflow(".github/workflows/dr.yml", text)              # triggers and inputs are those of the text
    workflow.on_start = lambda run: run.add_job("execute", ["dr"])                  # what a dispatch sets going
    run = recovery.add_run(workflow, actor=maria, referenced=[("o/r/.github/workflows/dispatch.yml@v1", sha)])
    job = run.add_job("execute", ["dr"], environment="dr-prod")                     # `waiting`: the environment is gated
    run.review(noor, comment="go"); job.take(recovery.add_runner("dr-1", ["dr"])); job.finish(); run.finish("success")
    recovery.protect()                                                              # the default branch, by a ruleset
    token = github_fake.add_token("actions: read", "contents: read", repositories=[recovery])   # actor="noor" for a person's

    github_fake.inject(faults.answer(502), on=RUN, times=2)           # also secondary, primary, slow, dropped, lost, truncated
    github_fake.after(3, JOBS, lambda: job.take(runner))              # seen by the fourth poll; `later(seconds, ...)` by the clock
    assert len(github_fake.made(RUN)) == 1                            # github_fake.calls: method, path, query, status, fault

`github_fake.url` is GITHUB_API_URL for any number of processes. `RUN` is an operation as the description writes it:
"GET /repos/{owner}/{repo}/actions/runs/{run_id}".
"""
