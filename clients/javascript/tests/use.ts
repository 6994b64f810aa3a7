// Judged by the compiler: what a program may write, and with @ts-expect-error what it may not.
import { AgentClient, CallFailed, NotFound, type CameraForm, type Methods, type Topics } from "./client.js";

export async function use(): Promise<string[]> {
  const agent = new AgentClient("ws://127.0.0.1:8002/ws", { token: async () => "TOKEN", callTimeoutMs: 5_000 });
  await agent.connect();
  const pong: "pong" = await agent.ping();
  const cameras: CameraForm[] = (await agent.getCameraList()).cameras;
  const status = await agent.getCameraStatus({ device: "camera0" }, { timeoutMs: 1_000 });
  const size: string = status.capabilities.resolutions[0] ?? "";
  const named: Methods["list_snapshots"]["result"] = await agent.call("list_snapshots", { limit: 10 });
  // @ts-expect-error The device is missing.
  await agent.getCameraStatus({});
  // @ts-expect-error There is no such member.
  await agent.takeSnapshot({ device: "camera0", colour: "red" });
  // @ts-expect-error Only these formats can be asked for.
  await agent.takeSnapshot({ device: "camera0", format: "gif" });
  const subscription = await agent.subscribe(["recording.started", "recording.stop"], ({ params }) => {
    const recording: Topics["recording.start"]["filename"] = params.filename;
    console.log(recording);
  });
  // @ts-expect-error There is no such topic.
  await agent.subscribe("recording.begun", () => {});
  const end = agent.on("disconnected", ({ pauseMs }) => console.log(pauseMs));
  agent.on("system.events_dropped", ({ params }) => console.log(params.count));
  end();
  await subscription.close();
  try {
    await agent.getSnapshotInfo({ filename: "none.jpg" });
  } catch (error) {
    if (error instanceof NotFound) console.log(error.reason, error.data.suggestion);
    else if (error instanceof CallFailed) console.log(error.code);
  }
  await agent.close();
  return [pong, size, named.files[0]?.filename ?? "", ...cameras.map((each) => each.device)];
}
