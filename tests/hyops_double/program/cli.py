"""The command line: `hyops --version` and `hyops blueprint validate|plan|preflight|deploy|destroy`, in the real grammar."""

import argparse
import json
import sys

from program import modules, runtime, scenario, steps

ERROR = 2
GONE = ("missing", "absent", "destroyed")


def main():
    parser = argparse.ArgumentParser(prog="hyops")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    groups = parser.add_subparsers(dest="group")
    actions = groups.add_parser("blueprint").add_subparsers(dest="action", required=True)
    for name in ("validate", "plan", "preflight", "deploy", "destroy"):
        action = actions.add_parser(name)
        for flag in ("--ref", "--file", "--root", "--env", "--blueprints-root", "--module-root"):
            action.add_argument(flag)
        action.add_argument("--json", action="store_true")
        if name == "deploy":
            action.add_argument("--preflight-bypass-reason")
            for flag in ("--execute", "--yes", "--skip-preflight"):
                action.add_argument(flag, action="store_true")
        if name == "destroy":
            for flag in ("--execute", "--yes"):
                action.add_argument(flag, action="store_true")
            archive = action.add_mutually_exclusive_group()
            for flag in ("--archive-before-destroy", "--skip-archive"):
                archive.add_argument(flag, action="store_true")
    ns = parser.parse_args()
    if ns.version:
        print(scenario.load().get("version", "0.1.4"))
        return 0
    if ns.group is None:
        parser.print_help()
        return ERROR
    return {"validate": validate, "plan": plan, "preflight": preflight, "deploy": deploy, "destroy": destroy}[ns.action](ns)


def error(ns, reason):
    noun = "validation" if ns.action == "validate" else ns.action
    print(f"ERR: blueprint {noun} failed: {reason}")
    return ERROR


def show(content):
    print(json.dumps(content, indent=2, sort_keys=True))


def validate(ns):
    try:
        payload = runtime.load_blueprint(runtime.blueprint_file(ns))
    except (OSError, ValueError) as reason:
        return error(ns, reason)
    if ns.json:
        show(payload)
    else:
        print(f"blueprint={payload['blueprint_ref']} mode={payload['mode']} status=ok\npath={payload['path']}")
    return 0


def plan(ns):
    try:
        payload = runtime.load_blueprint(runtime.blueprint_file(ns))
    except (OSError, ValueError) as reason:
        return error(ns, reason)
    if ns.json:
        show({key: payload[key] for key in ("blueprint_ref", "mode", "policy", "path", "order", "steps")})
        return 0
    print(f"blueprint={payload['blueprint_ref']} mode={payload['mode']} plan_steps={len(payload['order'])}\norder:")
    for step in ordered(payload):
        print(f"  - {step['id']}: {step['action']} {step['module_ref']} [{step['phase']}]")
    return 0


def ordered(payload):
    by_id = {step["id"]: step for step in payload["steps"]}
    return [by_id[step_id] for step_id in payload["order"]]


def prepared(ns):
    """Blueprint and runtime root. Raises what the real program prints."""
    payload = runtime.load_blueprint(runtime.blueprint_file(ns))
    root = runtime.root_of(ns)
    runtime.make_layout(root)
    runtime.enforce_scope(ns, root)
    return payload, root


def preflight(ns):
    try:
        payload, root = prepared(ns)
    except (OSError, ValueError) as reason:
        return error(ns, reason)
    answers, required, optional = modules.preflight(root, payload, ns)
    status = "failed" if required else "ok"
    if ns.json:
        fields = {key: payload[key] for key in ("blueprint_ref", "mode", "path", "order")}
        show({**fields, "status": status, "required_failures": required, "optional_failures": optional, "steps": answers})
    else:
        print(f"blueprint={payload['blueprint_ref']} mode={payload['mode']} preflight_status={status} steps={len(answers)}")
        for answer in answers:
            print(f"  - {answer['id']}: {answer['status']} {answer['action']} {answer['module_ref']}")
            if answer["status"] == "blocked":
                print(f"    reason: {answer['checks'][-1]['detail']}")
        failures(required, optional)
    return ERROR if required else 0


def failures(required, optional):
    if required:
        print(f"required_failures: {', '.join(required)}")
    if optional:
        print(f"optional_failures: {', '.join(optional)}")


def deploy(ns):
    try:
        payload = runtime.load_blueprint(runtime.blueprint_file(ns))
        if not ns.execute:
            print(f"blueprint={payload['blueprint_ref']} status=skeleton\nexecution disabled; validated order:")
            for step in ordered(payload):
                print(f"  - {step['id']}: {step['action']} {step['module_ref']}")
            return 0
        payload, root = prepared(ns)
    except (OSError, ValueError) as reason:
        return error(ns, reason)
    name = f"blueprint={payload['blueprint_ref']} mode={payload['mode']}"
    if ns.skip_preflight:
        print("WARN: blueprint preflight bypassed; decision will be recorded with executed steps")
    else:
        answers, required, optional = modules.preflight(root, payload, ns)
        print(f"{name} preflight_status={'failed' if required else 'ok'} steps={len(answers)}")
        for answer in answers:
            if answer["status"] == "blocked":
                print(f"  - {answer['id']}: blocked {answer['checks'][-1]['detail']}")
        failures(required, optional)
        if required:
            return ERROR
    warn(ns, payload, root)
    done, required, optional, cancelled = execute(ns, payload, root)
    status = "cancelled" if cancelled else "failed" if required else "ok"
    if not scenario.load().get("no_final"):
        print(f"{name} status={status} steps={done}")
    failures(required, optional)
    destroy = f"hyops blueprint destroy --env {ns.env} --file {ns.file} --execute"
    if cancelled:
        print("deployment cancelled; completed resources were retained.\nresume:")
        print(f"  hyops blueprint deploy --env {ns.env} --file {ns.file} --execute\nremove:\n  {destroy}")
        return steps.CANCELLED
    if required:
        print(f"WARN: deployment failed while resources may remain active\ndestroy incomplete environment: {destroy}")
        return ERROR
    return 0


def warn(ns, payload, root):
    """`--yes` is no safety: without it a session that is not interactive proceeds all the same."""
    active = [step for step in ordered(payload) if not step["skip_if_state_ok"] and modules.read_state(root, modules.state_ref(step))]
    if ns.yes or not active:
        return
    print(f"WARN: deploy may change {len(active)} active blueprint step{'s' * (len(active) != 1)} in env={ns.env}.\nsteps:")
    for step in active:
        print(f"  - {step['id'].capitalize()} (state={modules.read_state(root, modules.state_ref(step))['status']})")
    print("WARN: non-interactive session detected; proceeding without prompt (use --yes to silence).")


def execute(ns, payload, root):
    """Steps executed, required and optional failures, and whether it was interrupted."""
    done, required, optional = 0, [], []
    total = len(payload["order"])
    for position, step in enumerate(ordered(payload), start=1):
        done += 1
        inputs_file = modules.materialize_inputs(root, payload, step)
        what, reason = modules.skip_decision(root, step, inputs_file)
        if what == "skip":
            print(f"step={step['id']} status=skipped reason={reason}", flush=True)
            continue
        if what == "rerun":
            print(f"step={step['id']} status=rerun reason={reason}")
        print(f"step={step['id']} status=running action={step['action']} module={step['module_ref']}", flush=True)
        try:
            rc = steps.run_step(root, step, inputs_file, ns.env)
        except KeyboardInterrupt:
            rc = steps.CANCELLED
        if rc == 0:
            print(f"step={step['id']} status=ok progress={position * 100 // total}%", flush=True)
        elif rc == steps.CANCELLED:
            print(f"step={step['id']} status=cancelled rc={rc}", flush=True)
            return done, required, optional, True
        elif step["optional"]:
            optional.append(step["id"])
            print(f"step={step['id']} status=failed-optional rc={rc}", flush=True)
        else:
            required.append(step["id"])
            state = modules.read_state(root, modules.state_ref(step))
            detail = steps.concise(state["last_error"]) if state.get("status") == "error" else "see module run record"
            print(f"step={step['id']} status=failed rc={rc} reason={detail}", flush=True)
            if payload["policy"]["fail_fast"]:
                break
    return done, required, optional, False


def destroy(ns):
    """Steps in the reverse of their order; what has no state, or is retained, is passed over."""
    try:
        payload = runtime.load_blueprint(runtime.blueprint_file(ns))
        backwards = list(reversed(ordered(payload)))
        if not ns.execute:
            print(f"blueprint={payload['blueprint_ref']} status=skeleton\nexecution disabled; destroy order:")
            for step in backwards:
                print(f"  - {step['id'].capitalize()}: {'retain' if step['retain_on_destroy'] else 'destroy'}")
            return 0
        payload, root = prepared(ns)
    except (OSError, ValueError) as reason:
        return error(ns, reason)
    if ns.archive_before_destroy or ns.skip_archive:
        print("ERR: this blueprint does not declare a lab archive lifecycle")
        return ERROR
    if not ns.yes:
        print(f"WARN: destroy resources in env={ns.env}.\nresources:")
        for step in backwards:
            gone = modules.read_state(root, modules.state_ref(step)).get("status", "missing") in GONE
            print(f"  - {step['id'].capitalize()}{' (retained)' if step['retain_on_destroy'] else ' (already absent)' if gone else ''}")
        print("ERR: non-interactive blueprint destroy requires --yes")
        return ERROR
    done, required, optional, cancelled = remove(ns, payload, root, backwards)
    status = "cancelled" if cancelled else "failed" if required else "ok"
    if not scenario.load().get("no_final"):
        print(f"blueprint={payload['blueprint_ref']} mode={payload['mode']} status={status} steps={done}")
    failures(required, optional)
    return steps.CANCELLED if cancelled else ERROR if required else 0


def remove(ns, payload, root, backwards):
    """Steps looked at, required and optional failures, and whether it was interrupted."""
    required, optional, total = [], [], len(backwards)
    for position, step in enumerate(backwards, start=1):
        name, state = f"step={step['id']}", modules.read_state(root, modules.state_ref(step))
        if step["retain_on_destroy"]:
            print(f"{name} status=retained reason=retain_on_destroy progress={position * 100 // total}%", flush=True)
            continue
        if state.get("status", "missing") in GONE:
            print(f"{name} status=skipped reason={'state-' + state['status'] if state else 'no-state'}", flush=True)
            continue
        inputs_file = modules.materialize_inputs(root, payload, step)
        print(f"{name} status=running action=destroy module={step['module_ref']}", flush=True)
        try:
            rc = steps.run_step(root, step, inputs_file, ns.env, "destroy")
        except KeyboardInterrupt:
            rc = steps.CANCELLED
        if rc == 0:
            print(f"{name} status=ok progress={position * 100 // total}%", flush=True)
        elif rc == steps.CANCELLED:
            print(f"{name} status=cancelled rc={rc}", flush=True)
            return position, required, optional, True
        elif step["optional"]:
            optional.append(step["id"])
            print(f"{name} status=failed-optional rc={rc}", flush=True)
        else:
            required.append(step["id"])
            print(f"{name} status=failed rc={rc} reason=see module run record", flush=True)
            if payload["policy"]["fail_fast"]:
                return position, required, optional, False
    return total, required, optional, False


if __name__ == "__main__":
    sys.exit(main())
