// Runs the stock client against the API as its users would; prints what it saw as one JSON object.
// usage: node client.mjs FOLDER_WITH_NODE_MODULES BASE_URL KEY QUESTION
import { createRequire } from "node:module";

const [folder, baseURL, apiKey, question] = process.argv.slice(2);
const { default: OpenAI } = createRequire(`${folder}/`)("openai");
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const asked = { model: "docent", messages: [{ role: "user", content: question }] };

const models = [];
for await (const model of client.models.list()) models.push(model.id);

const whole = await client.chat.completions.create(asked);

const stream = await client.chat.completions.create({
  ...asked,
  stream: true,
  stream_options: { include_usage: true },
});
const chunks = [];
for await (const chunk of stream) chunks.push(chunk);

const helped = await client.chat.completions.stream(asked).finalChatCompletion();

async function failing(other, body) {
  try {
    await other.chat.completions.create(body);
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  return null;
}

const failures = [
  await failing(new OpenAI({ baseURL, apiKey: "dk_wrong", maxRetries: 0 }), asked),
  await failing(client, { ...asked, model: "gpt-nothing" }),
  await failing(client, { ...asked, n: 2 }),
  await failing(client, { ...asked, messages: [{ role: "user", content: "" }] }),
];
const one = await client.models.retrieve("docent");
console.log(JSON.stringify({ models, one, whole, chunks, helped, failures }));
