// Drives the service through openapi-fetch: node driver.js URL EMAIL PASSWORD; ends with "done".
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./openapi";

declare const process: { argv: string[] };

const [, , baseUrl = "", email = "", password = ""] = process.argv;
const client = createClient<paths>({ baseUrl });

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** The body and the ETag of a successful response. */
function ok<T>(result: { data?: T; error?: components["schemas"]["Problem"]; response: Response }) {
  check(result.data !== undefined, `${result.response.status} ${result.error?.detail}`);
  return { data: result.data, etag: result.response.headers.get("ETag") ?? "" };
}

// begin products tasks
type Task = components["schemas"]["Task"];
type Page = components["schemas"]["TaskPage"];

async function page(query: { limit: number; cursor?: string }): Promise<Page> {
  return ok(await client.GET("/api/v1/tasks", { params: { query } })).data;
}

async function everyTask(): Promise<Task[]> {
  let last = await page({ limit: 2 });
  const found = [...last.items];
  while (last.next_cursor !== null) {
    last = await page({ limit: 2, cursor: last.next_cursor });
    found.push(...last.items);
  }
  return found;
}
// end products tasks

const tokens = ok(await client.POST("/api/v1/auth/login", { body: { email, password } })).data;
const bearer: Middleware = {
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${tokens.access_token}`);
    return request;
  },
};
client.use(bearer);

const me = ok(await client.GET("/api/v1/users/me")).data;
check(me.email === email, "another user");

// begin products tasks
for (const n of [1, 2, 3, 4, 5]) {
  ok(await client.POST("/api/v1/tasks", { body: { title: `Task ${n}`, due_at: null } }));
}
const [first, second] = await everyTask();
check(first !== undefined && second !== undefined, "no tasks");

const path = { task_id: first.id };
const read = ok(await client.GET("/api/v1/tasks/{task_id}", { params: { path } }));
const header = { "If-Match": read.etag };
const changed = ok(
  await client.PATCH("/api/v1/tasks/{task_id}", {
    params: { path, header },
    body: { done: true, due_at: new Date(Date.UTC(2030, 0, 31)).toISOString() },
    headers: { "Content-Type": "application/merge-patch+json" },
  }),
).data;
check(changed.done && changed.version === 2, "not changed");
const stale = await client.DELETE("/api/v1/tasks/{task_id}", { params: { path, header } });
check(stale.error?.type === "/problems/precondition-failed", "deleted a changed task");
const deleted = await client.DELETE("/api/v1/tasks/{task_id}", {
  params: { path, header: { "If-Match": "*" } },
});
check(deleted.response.status === 204, "not deleted");

const batch = ok(
  await client.POST("/api/v1/tasks/batch", {
    params: { header: { "Idempotency-Key": "a-batch" } },
    body: {
      items: [
        { op: "create", value: { title: "New" } },
        { op: "update", id: second.id, if_match: '"1"', value: { title: "Changed" } },
      ],
    },
  }),
).data;
check(batch.items.map((item) => item.status).join() === "201,200", "no batch");

const job = ok(
  await client.POST("/api/v1/products/imports", {
    params: { query: { on_error: "abort" } },
    body: "sku,name,category,price,currency\r\nPOT-0001,Tea pot,kitchen,30.00,EUR\r\n",
    bodySerializer: (text: string) => text,
    headers: { "Content-Type": "text/csv" },
  }),
).data;
ok(await client.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: job.id } } }));
// end products tasks

check((await client.POST("/api/v1/auth/logout")).response.status === 204, "not logged out");
check((await client.GET("/api/v1/users/me")).response.status === 401, "still logged in");
console.log("done");
